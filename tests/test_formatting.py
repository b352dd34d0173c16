"""No stored text, and no log of a service, commands the terminal that shows it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from swarmscope.cli import main
from swarmscope.formatting import without_controls

ESCAPE = "\x1b[2J\x1b]0;mine\x07"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SWARMSCOPE_HOME", str(tmp_path))
    (tmp_path / "logs").mkdir()
    return tmp_path


@given(st.text())
def test_bytes_and_text_agree_about_what_commands(text):
    """What is left can be printed; tabs and line breaks stay."""
    shown = without_controls(text.encode("utf-8", "replace")).decode()

    assert not any(c for c in shown if ord(c) < 32 and c not in "\t\n\r")
    assert not any(0x7F <= ord(c) < 0xA0 for c in shown)


def test_logs_are_shown_without_commands(home):
    """A target's answer may stand in Locust's log."""
    (home / "logs/locust.log").write_text(f"failed:\t{ESCAPE}\r\nnext\n")

    done = CliRunner().invoke(main, ["logs", "locust"])

    assert done.stdout == "failed:\t\\x1b[2J\\x1b]0;mine\\x07\nnext\n"


def test_an_error_quotes_without_commands(home):
    """Its line breaks are its own."""
    done = CliRunner().invoke(main, ["logs", ESCAPE])

    assert done.exit_code == 1
    assert done.stderr == "Error: no log of \\x1b[2J\\x1b]0;mine\\x07; none has run yet\n"
