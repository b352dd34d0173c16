"""Locustfiles of the kinds that people have, unchanged: what is stored is what Locust counts."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.databases import libpq_environment
from support.locust import Field
from support.processes import clean_environment

from swarmscope.stack.locust_command import LOCUST

FOREIGN = Path(__file__).parent / "foreign"
KINDS = sorted(path.name for path in FOREIGN.iterdir() if not path.name.startswith("_"))
A_FEW = ["plugins_listeners.py", "raw_requests.py"]
ARGUMENTS = {
    "chosen_user.py": ("Chosen",),
    "custom_arguments.py": ("--tenant", "acme", "--api-key", "hunter2"),
    "tags.py": ("--tags", "read"),
}
OWN_SHAPE = "own_shape.py"
STATUS = {"event_listeners.py": 17} | dict.fromkeys(
    ("catch_response.py", "failures.py", "plugins_listeners.py", "rest_client.py", "sockets.py"), 1
)
REPORTED = {"RPC", "STEP", "TCP"}  # request types that scenarios report themselves
CUSTOM = {"raw_requests.py", "sessions_of_a_user.py", "sockets.py"}  # users without a client
AT_ONCE = 4

Counts = dict[tuple[str, str], tuple[int, int]]  # method, name: requests, failures


@dataclass(frozen=True)
class Ended:
    """A Locust that has ended: its exit status, its log, and what it counted."""

    status: int
    log: str
    counts: Counts


def command(kind: str, target: str) -> list[str]:
    """Return what a person types to run *kind* for two seconds."""
    if kind == "library.py":
        return [sys.executable, kind, target]
    if kind == "pytest_library.py":
        patched_pytest = ("-m", "gevent.monkey", "--module", "pytest")  # its plugins import ssl
        return [sys.executable, *patched_pytest, "-s", "-p", "no:cacheprovider", kind]
    load = () if kind == OWN_SHAPE else ("-u", "4", "-r", "20", "-t", "2s")
    arguments = ("-f", kind, "--headless", "--json", "-H", target, *load)
    return [*LOCUST, *arguments, *ARGUMENTS.get(kind, ())]


def run(kind: str, field: Field, directory: Path, *more: str) -> Ended:
    """Run *kind* in *directory*, a copy of the scenarios."""
    done = subprocess.run(
        [*command(kind, field.host), *more],
        cwd=directory,
        env=clean_environment(
            LOCUST_JOURNAL_DIR=str(field.journals),
            TARGET=field.host,
            **libpq_environment(field.database),
        ),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
    )
    log = done.stdout + done.stderr
    found = re.search(r"\[\n    \{.*?^\]", done.stdout, re.MULTILINE | re.DOTALL)
    assert found, log
    entries = json.loads(found[0])
    counts = {
        (e["method"], e["name"]): (e["num_requests"], e["num_failures"])
        for e in entries
        if e["num_requests"]
    }
    return Ended(done.returncode, log, counts)


def stored(field: Field, kind: str) -> tuple[Counts, dict[str, int]]:
    """Return the stored counts, and how many requests of each type have a trace."""
    rows = field.query(
        "SELECT request_type, name, count(*), count(*) FILTER (WHERE success = 0), count(trace_id)"
        " FROM request JOIN testrun ON id = run_id WHERE testrun.testplan = %s GROUP BY 1, 2",
        kind,
    )
    marked: dict[str, int] = {}
    for request_type, *_, traces in rows:
        marked[request_type] = marked.get(request_type, 0) + traces
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}, marked


def check(field: Field, kind: str, ended: Ended) -> str:
    """Compare what is stored with what Locust counted; return the row of the docs."""
    counts, marked = stored(field, kind)
    assert ended.counts, (kind, ended.log)
    assert counts == ended.counts, (kind, ended.log)
    assert ended.status == STATUS.get(kind, 0), (kind, ended.log)
    by_type: dict[str, int] = {}
    for (request_type, _), (requests, _) in counts.items():
        by_type[request_type] = by_type.get(request_type, 0) + requests
    expected = {t: 0 if t in REPORTED else n for t, n in by_type.items()}
    assert marked == expected, kind
    assert ended.log.count("are counted as reported") == (kind in CUSTOM), (kind, ended.log)
    failures = sum(failures for _, failures in counts.values())
    return f"| {title(kind)} | {sum(by_type.values())} | {failures} | {sum(marked.values())} |"


def title(kind: str) -> str:
    """Return the first sentence of a scenario, for the table in the docs."""
    file = FOREIGN / kind
    if file.is_dir():
        return "A directory of locustfiles that share a module"
    return str(ast.get_docstring(ast.parse(file.read_text()))).rstrip(".")


@pytest.mark.parametrize(
    "kinds", [A_FEW, pytest.param(KINDS, marks=[pytest.mark.proof, pytest.mark.timeout(600)])]
)
def test_what_locust_counts_is_stored(field: Field, tmp_path: Path, kinds: Sequence[str]):
    """By ``swarmscope locust``, pytest and Python, side by side in one database."""
    directory = tmp_path / "scenarios"
    shutil.copytree(FOREIGN, directory)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda kind: run(kind, field, directory), kinds))

    for kind, one in zip(kinds, ended, strict=True):
        print(check(field, kind, one))
    assert field.value("SELECT count(*) FROM testrun") == len(kinds)
    assert not field.waiting()


@pytest.mark.proof
def test_workers_record_as_one_process_does(field: Field, tmp_path: Path):
    """A master and two workers, forked by ``--processes``."""
    kind = "several_users.py"
    shutil.copy(FOREIGN / kind, tmp_path)
    ended = run(kind, field, tmp_path, "--processes", "2")

    check(field, kind, ended)
    assert field.value("SELECT count(*) FROM run_worker WHERE samples > 0") == 2


def test_the_docs_list_every_kind(root: Path):
    """In the table of docs/scenarios.md."""
    page = (root / "docs/scenarios.md").read_text()

    assert len(KINDS) >= 30
    assert set(re.findall(r"^\| (.+?) \| \d", page, re.MULTILINE)) == {title(k) for k in KINDS}
