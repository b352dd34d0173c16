"""Which Python runs an app, and what it is lent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.environments import foreign_programs

from swarmscope.stack.app_python import LENT, AppPython, find_python, lend
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.project import App
from swarmscope.stack.shipped import shipped

SHOP = App("shop", wsgi="shop:app")
VERSIONS = {"flask": "3.1.2", "gunicorn": "23.0.0", "prometheus-client": None}
IMPORTS = "import flask, swarmscope.server.serve as s; print(flask.__file__, s.__file__, sep='\\n')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an environment of its own: Flask, and no gunicorn."""
    directory = tmp_path_factory.mktemp("shop")
    foreign_programs(directory / ".venv", "3.11", "flask")
    return directory


def program(app: App, directory: Path, **environment: str) -> str:
    """Return the program of the Python that is found."""
    python = find_python(app, directory, {"PATH": os.environ["PATH"], **environment})
    assert python
    return str(python.program)


def test_the_environment_of_the_project(project: Path) -> None:
    """It is named as a person knows it, and what it has is known."""
    python = find_python(SHOP, project, os.environ)

    assert python
    assert python.program == project / ".venv/bin/python"
    assert python.title == ".venv"
    assert python.directory == str(project / ".venv")
    assert python.versions["flask"]
    assert [python.versions[name] for name in ("gunicorn", *LENT)] == [None] * 5


def test_without_gunicorn_one_line_says_how_to_get_it(project: Path) -> None:
    """By the installer that the environment has."""
    python = find_python(SHOP, project, os.environ)

    assert python
    assert python.complaint() == "has no gunicorn: uv pip install --python .venv gunicorn"
    (project / ".venv/bin/pip").touch()
    assert python.complaint() == "has no gunicorn: .venv/bin/pip install gunicorn"
    (project / ".venv/bin/pip").unlink()


def test_it_is_lent_what_it_lacks(project: Path, tmp_path: Path) -> None:
    """Flask is its own, our server end is ours, and nothing else is visible."""
    foreign_programs(project / "with", "3.11", "flask", "gunicorn==23.*")
    app = App("shop", wsgi="shop:app", python="with")
    python = find_python(app, project, os.environ)
    assert python
    assert python.complaint() is None
    home = Home(tmp_path / "home")
    environment = python.environment({"PYTHONPATH": "/first"}, lend(home, app, python))
    lend(home, app, python)  # can be repeated

    def run(code: str) -> list[str]:
        command = [str(python.program), "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        return (done.stdout or done.stderr).splitlines()

    assert environment["PYTHONPATH"] == f"/first:{home.path}/python/shop"
    assert environment["PATH"].startswith(f"{project}/with/bin:")
    assert run("import sqlparse.lexer; print('lent')") == ["lent"]
    flask, serve = run(IMPORTS)
    assert flask.startswith(str(project / "with"))
    assert serve == str(home.path / "python/shop/swarmscope/server/serve.py")
    assert run("import click; import rich")[-1].startswith("ModuleNotFoundError: No module named")


def test_the_order_of_places(project: Path, tmp_path: Path) -> None:
    """`python`, VIRTUAL_ENV unless that is ours, .venv, venv, ours."""
    own = str(project / ".venv/bin/python")
    assert program(SHOP, tmp_path) == sys.executable
    (tmp_path / "venv").symlink_to(project / ".venv")
    assert program(SHOP, tmp_path) == str(tmp_path / "venv/bin/python")
    (tmp_path / ".venv").symlink_to(project / ".venv")
    assert program(SHOP, tmp_path) == str(tmp_path / ".venv/bin/python")
    assert program(SHOP, tmp_path, VIRTUAL_ENV=str(project / ".venv")) == own
    assert program(SHOP, tmp_path, VIRTUAL_ENV=sys.prefix) == str(tmp_path / ".venv/bin/python")
    for named in (str(project / ".venv"), own):
        app = App("shop", wsgi="shop:app", python=named)
        assert program(app, tmp_path, VIRTUAL_ENV="/nowhere") == own
    assert program(SHOP, shipped(), VIRTUAL_ENV=str(project / ".venv")) == sys.executable


def test_a_command_without_an_environment(project: Path, tmp_path: Path) -> None:
    """Its own first line says whose it is; a program that is not Python's has none."""
    script = tmp_path / "serve"
    script.write_text(f"#!{project}/.venv/bin/python\n")
    script.chmod(0o755)

    assert program(App("shop", command="./serve --fast"), tmp_path) == (
        f"{project}/.venv/bin/python"
    )
    assert find_python(App("shop", command="sh -c true"), tmp_path, os.environ) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"flask": None}, "has no flask: uv pip install --python .venv flask"),
        ({"flask": "2.2.5"}, "has flask 2.2.5; 2.3 or later is needed: uv pip install --python"),
        ({"gunicorn": "19.9"}, "has gunicorn 19.9; 20.1 or later is needed"),
        ({"prometheus-client": "0.18.0"}, "has prometheus-client 0.18.0; 0.19 or later is needed"),
    ],
)
def test_what_does_not_do(changes: dict, said: str | None) -> None:
    """Versions are numbers: 0.9 is older than 0.19."""
    versions = {**dict.fromkeys(LENT), **VERSIONS, **changes}
    python = AppPython(Path("/x/bin/python"), ".venv", (3, 11), None, versions)

    assert (python.complaint() or "").startswith(said or "")
    assert bool(python.complaint()) is bool(said)


def test_a_python_that_is_too_old() -> None:
    """Its version is what matters first."""
    python = AppPython(Path("/x/bin/python"), ".venv", (3, 9), None, dict.fromkeys(LENT))
    assert python.complaint() == "is Python 3.9; swarmscope's metrics need 3.11 or later"


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("nowhere", "shop's python, nowhere, does not exist: there is no "),
        ("/bin/false", "shop's python, /bin/false, does not run: exit status 1"),
    ],
)
def test_a_python_that_is_none(tmp_path: Path, python: str, said: str) -> None:
    """It is known before anything is started."""
    with pytest.raises(StackError) as error:
        find_python(App("shop", wsgi="a:b", python=python), tmp_path, os.environ)
    assert str(error.value).startswith(said)
