"""`swarmscope init` as it is typed: what it shows, writes, and leaves alone."""

from __future__ import annotations

import sys
from pathlib import Path

from support.command import answer, complaint
from support.projects import APP, write_project

SHOWN = """
swarmscope.toml
  [app]
  wsgi = "app:app"

  [slo]
  p95_ms = 450  # 95% of requests are answered within this many milliseconds
  fail_ratio = 0.01  # share of requests that may fail

locustfile.py
"""


def test_everything_shown_is_written(tmp_path: Path) -> None:
    """And the next command is named; git is to ignore the home."""
    write_project(tmp_path, {"app.py": APP, ".gitignore": "*.pyc\n"})

    printed = answer("init", cwd=tmp_path)

    assert printed.startswith("App: app:app, by app.py:3; loaded by ")
    assert SHOWN in printed
    assert printed.endswith("\n\n.gitignore\n+ .swarmscope/\n\nNext: swarmscope up\n")
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    for name in ("swarmscope.toml", "locustfile.py"):
        for line in written[name].splitlines():
            assert f"  {line}".rstrip() in printed.splitlines()
    assert written[".gitignore"] == "*.pyc\n.swarmscope/\n"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It shows the same."""
    write_project(tmp_path, {"app.py": APP})

    printed = answer("init", "--dry-run", cwd=tmp_path)

    assert SHOWN in printed
    assert "Next" not in printed
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["app.py"]


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    """Settings and scenario are somebody's work."""
    settings = '[app]\nwsgi = "app:app"\n'
    write_project(tmp_path, {"app.py": APP, "swarmscope.toml": settings})
    (tmp_path / "locustfile.py").write_text("# mine, too\n")

    named = answer("init", "--app", "app:app", cwd=tmp_path)
    assert "\nswarmscope.toml exists and stays as it is; --force overwrites it.\n" in named
    assert "\nlocustfile.py exists and stays as it is; --force overwrites it.\n" in named
    kept = answer("init", cwd=tmp_path)
    assert kept.startswith("App: app:app, by swarmscope.toml.\n")
    assert "\nSettings: swarmscope.toml, as they are; --force writes new ones.\n" in kept
    assert (tmp_path / "swarmscope.toml").read_text() == settings

    answer("init", "--force", cwd=tmp_path)
    assert (tmp_path / "swarmscope.toml").read_text().startswith("[app]\n")
    assert "HttpUser" in (tmp_path / "locustfile.py").read_text()


def test_a_scenario_of_ours_is_drawn_again_if_forced(tmp_path: Path) -> None:
    """As after the app's database has been filled; one that a person wrote is not."""
    write_project(tmp_path, {"app.py": APP})
    answer("init", cwd=tmp_path)
    drawn = (tmp_path / "locustfile.py").read_text()
    (tmp_path / "locustfile.py").write_text(drawn + "# and more\n")

    assert "Scenarios: locustfile.py, as they are." in answer("init", cwd=tmp_path)
    answer("init", "--force", cwd=tmp_path)
    assert (tmp_path / "locustfile.py").read_text() == drawn

    mine = drawn.replace("Written by", "Once written by").replace("`swarmscope init`", "it")
    (tmp_path / "locustfile.py").write_text(mine)
    answer("init", "--force", cwd=tmp_path)
    assert (tmp_path / "locustfile.py").read_text() == mine


def test_the_variables_of_the_file_reach_the_app(tmp_path: Path) -> None:
    """As they do under `up`; and the Python that was named is in the settings."""
    needs = "import os\nos.environ['SHOP_NEEDS']\nfrom flask import Flask\napp = Flask(__name__)\n"
    needs += "app.add_url_rule('/', 'index', lambda: '')\n"
    write_project(tmp_path, {"app.py": needs, ".env": "SHOP_NEEDS=this"})

    printed = answer("init", "--dry-run", "--python", sys.executable, cwd=tmp_path)

    assert f'\n  python = "{sys.executable}"\n' in printed


def test_a_failure_is_said_in_one_line(tmp_path: Path) -> None:
    """With status 1, and without a traceback."""
    write_project(tmp_path, {"main.py": "print()"})

    assert complaint("init", cwd=tmp_path) == (
        f"Error: no Flask app found in {tmp_path}; name it, as in: swarmscope init --app shop:app\n"
    )
    assert complaint("init", "--python", "nowhere", cwd=tmp_path).startswith("Error: app's python")
