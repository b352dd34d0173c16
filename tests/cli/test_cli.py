"""The command itself: its verbs, and what it says where an extra is not installed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.command import swarmscope
from support.native import SWARMSCOPE
from support.processes import clean_environment

from swarmscope.cli import VERBS, main

WITHOUT = "import sys; sys.modules[{!r}] = None; from swarmscope.cli import main; main({!r})"


def run_without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `swarmscope ARGUMENTS` as if *module* were not installed."""
    script = WITHOUT.format(module, arguments)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def help_of(*verb: str) -> str:
    """Return what ``swarmscope VERB --help`` prints at 80 columns."""
    done = swarmscope(*verb, "--help")
    assert done.exit_code == 0
    return done.stdout


def test_help_lists_every_verb() -> None:
    """In the order of the table, each with a whole sentence in one line."""
    listed = [line.split(maxsplit=1) for line in help_of().split("Commands:\n")[1].splitlines()]

    assert [verb for verb, _ in listed] == list(VERBS)
    for verb, summary in listed:
        assert summary.endswith("."), verb
        assert not summary.endswith("..."), verb
        assert len(summary) < 60, verb
        command = main.get_command(click.Context(main), verb)
        assert command
        assert summary == command.get_short_help_str(60), verb


def test_help_imports_no_verb() -> None:
    """It takes a tenth of a second: nothing that only a verb needs is loaded."""
    code = "import sys, swarmscope.cli as cli; cli.main(['--help'], standalone_mode=False)"
    loaded = (
        "print(sorted(m for m in sys.modules if m.startswith(('swarmscope.', 'psycopg', 'rich'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {loaded}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['swarmscope.cli', 'swarmscope.formatting']"


@pytest.mark.parametrize("verb", [None, *VERBS])
def test_every_example_is_understood(verb: str | None) -> None:
    """Help has examples of the verb, and click takes their options, arguments and values."""
    text = help_of(*([verb] if verb else []))
    section = text.partition("  Examples:\n")[2].partition("\n\n")[0]
    examples = [shlex.split(line.partition(" | ")[0]) for line in section.splitlines()]

    assert examples
    for program, name, *arguments in examples:
        assert program == "swarmscope"
        assert verb in (None, name)
        command = main.get_command(click.Context(main), name)
        assert command
        command.make_context(name, arguments)


def test_a_missing_extra_is_one_line() -> None:
    """Only the verbs that need it are out of order, and they say how to mend that."""
    up = run_without("supervisor", "up", "--detach")
    help_text = run_without("supervisor", "--help")

    assert (up.returncode, up.stderr) == (
        1,
        "Error: supervisor is missing; install it with: pip install 'swarmscope[stack]'\n",
    )
    assert help_text.returncode == 0
    assert "runs" in help_text.stdout


def test_every_verb_finds_the_home_of_the_file(tmp_path: Path) -> None:
    """What `.env` says to `up` it says to verbs that read the database."""
    (tmp_path / ".env").write_text("SWARMSCOPE_HOME=elsewhere\n")

    done = subprocess.run(
        [*SWARMSCOPE, "runs"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert f"{tmp_path}/elsewhere/database.url cannot be read" in done.stderr


def test_a_bad_file_is_one_line(tmp_path: Path) -> None:
    """No verb answers with a traceback."""
    (tmp_path / ".env").write_bytes(b"\xff")

    done = subprocess.run([*SWARMSCOPE, "status"], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"Error: cannot read {tmp_path}/.env: ")
