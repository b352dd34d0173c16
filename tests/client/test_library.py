"""Locust as a library: what a program writes to have its runs recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from locust.env import Environment
from support.databases import libpq_environment
from support.forks import fork
from support.locust import Field
from support.processes import clean_environment

from swarmscope.client import record


def test_the_documented_program_is_recorded(field: Field, root: Path, tmp_path: Path):
    """As docs/scenarios.md prints it, for a shorter time; again with a limit that it exceeds."""
    page = (root / "docs/scenarios.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = program.replace("http://localhost:5000", field.host).replace("sleep(30)", "sleep(2)")
    program = program.replace("constant(1)", "constant(0.05)")
    journals = {"LOCUST_JOURNAL_DIR": str(field.journals)}
    environment = clean_environment(**journals, **libpq_environment(field.database))
    started = []
    for name, limit in (("passes", "60000"), ("fails", "0.0001")):
        file = tmp_path / f"{name}.py"
        file.write_text(program.replace('"450"', f'"{limit}"'))
        started.append(fork([str(file)], tmp_path, environment, tmp_path / f"{name}.log"))
    assert [process.wait(60) for process in started] == [0, 0]

    printed = [(tmp_path / f"{name}.log").read_text() for name in ("passes", "fails")]
    assert [text.splitlines()[-1:] for text in printed] == [["0"], ["3"]], printed
    runs = field.query("SELECT testplan, num_clients, requests > 5 FROM testrun ORDER BY testplan")
    assert runs == [("fails.py", 10, True), ("passes.py", 10, True)]


def test_without_a_runner_there_is_nothing_to_record():
    """One line says what is missing."""
    with pytest.raises(RuntimeError, match="create_local_runner"):
        record(Environment())
