"""Figures look the same wherever they are shown, and no text controls a terminal."""

from __future__ import annotations

from random import Random

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.browser import chromium_page, needs_chromium

from swarmscope.cli import main
from swarmscope.formatting import count, digits, duration, first_line, percent, without_controls

FIGURES = "all => all.map(v => [digits(v), percent(v), clock(v), count(v && Math.floor(v))])"
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
    assert done.stderr == "Error: no log of \\x1b[2J\\x1b]0;mine\\x07; no service has run yet\n"


@pytest.mark.browser
@needs_chromium
def test_figures_look_alike_on_the_page_and_in_a_terminal(root):
    """Halves, borders between formats, nothing: `format.js` writes what these functions write."""
    random = Random(0)
    values = [None, 0, 0.004, 0.005, 0.125, 0.0001, 0.1, 2.5, 9.995, 10, 12.25, 99.95, 100, 100.5]
    values += [round(10 ** random.uniform(-5, 7), random.randrange(4)) for _ in range(500)]
    script = (root / "swarmscope/runs/page/assets/format.js").read_text()
    with chromium_page() as page:
        page.add_script_tag(content=script)
        shown = page.evaluate(FIGURES, values)

    for value, texts in zip(values, shown, strict=True):
        whole = None if value is None else int(value)
        written = [digits(value), percent(value), duration(value), count(whole)]
        assert written == texts, value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no such table\nLINE 1: SELECT", "no such table"),
        ("\n  connection failed: refused \n\tIs the server running?", "connection failed: refused"),
        ("", "ValueError"),
        (" \n", "ValueError"),
    ],
)
def test_an_error_is_one_line(text, expected):
    """A database's hints and a statement's position stay out of logs and messages."""
    assert first_line(ValueError(text)) == expected
