"""What is served for a side: its files, its modules, its Python, its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.projects import write_project
from support.revisions import SHOP, git

from swarmscope.ab.environments import requirements
from swarmscope.ab.sides import HERE, Place, Side, Wanted, parse_setting, prepared
from swarmscope.stack.errors import StackError
from swarmscope.stack.project import read_project

Describe = Callable[..., Side]


@pytest.fixture
def said() -> list[str]:
    """Return the lines that were printed."""
    return []


@pytest.fixture
def described(repository: Path, tmp_path: Path, said: list[str]) -> Describe:
    """Return a function that returns a side, whose checkout is gone by then."""

    def side(revision: str, **settings: str) -> Side:
        project = read_project(repository)
        assert project
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        environ = {"PATH": os.environ["PATH"], "API_PORT": "5123"}
        place = Place(project, scratch, tmp_path / "kept", environ, said.append)
        with prepared(Wanted(revision, settings), place) as found:
            assert (found.settings.project / "shop.py").exists()
            return found

    return side


def test_a_revision_is_served_from_its_checkout(repository: Path, described: Describe) -> None:
    """With the Python of the project, and its own modules before all others."""
    found = described("fast")
    (app,) = found.settings.apps
    checkout = found.settings.project

    assert not checkout.exists()
    assert not checkout.is_relative_to(repository)
    assert (app.python, app.port, app.profiles) == (sys.executable, 5123, False)
    assert app.env["PYTHONPATH"].split(os.pathsep)[0] == str(checkout)
    assert found.version == git(repository, "rev-parse", "fast").strip()[:36]
    assert found.settings.target == "http://127.0.0.1:5123"


def test_the_working_tree_is_served_as_it_is(repository: Path, described: Describe) -> None:
    """Its version says whether it has been edited."""
    commit = git(repository, "rev-parse", "slow").strip()[:12]
    assert (described(HERE).settings.project, described(HERE).version) == (repository, commit)

    (repository / "shop.py").write_text("app = None\n")
    found = described(HERE)
    assert (found.title, found.version) == ("the working tree", f"{commit}-dirty")


def test_settings_are_of_one_side(described: Describe) -> None:
    """Variables go into the environment, keys of [app] into the app."""
    found = described(HERE, **{"API_WORKERS": "4", "app.gunicorn": "fast.conf.py"})

    assert found.title == "API_WORKERS=4 app.gunicorn=fast.conf.py"
    assert found.settings.environment["API_WORKERS"] == "4"
    assert found.settings.apps[0].gunicorn == "fast.conf.py"
    assert "API_WORKERS" not in described(HERE).settings.environment


def test_a_revision_without_settings_of_its_own(
    repository: Path, described: Describe, said: list[str]
) -> None:
    """It has those of the working tree."""
    git(repository, "rm", "--quiet", "--cached", "swarmscope.toml")
    git(repository, "commit", "--quiet", "--message", "Know nothing of load tests")

    assert described("HEAD").settings.apps[0].wsgi == "shop:app"
    assert said == ["HEAD has no swarmscope.toml: that of the working tree is used."]


@pytest.mark.proof
def test_other_requirements_get_an_environment(
    repository: Path, described: Describe, said: list[str], tmp_path: Path
) -> None:
    """It is kept for the next time."""
    write_project(repository, {"requirements.txt": "# nothing yet\n"})
    for _ in range(2):
        program = described("fast", **{"app.python": sys.executable}).settings.apps[0].python
        assert program == sys.executable  # named: none is made

    write_project(repository, {"requirements.txt": "flask\n"})
    git(repository, "add", "requirements.txt")
    git(repository, "commit", "--quiet", "--message", "Name what is needed")
    write_project(repository, {"requirements.txt": "flask>=3\n"})
    kept = tmp_path / "kept"
    with pytest.raises(StackError, match="fast needs other packages than the working tree"):
        described("fast")
    assert [path for path in kept.iterdir() if path.is_dir()] == []


def test_what_is_imported_from_elsewhere_is_refused(repository: Path, described: Describe) -> None:
    """Such as an app that was installed: both sides would be the same."""
    git(repository, "rm", "--quiet", "shop.py")
    write_project(repository, {"swarmscope.toml": '[app]\nwsgi = "gunicorn.app:main"\n'})
    git(repository, "commit", "--quiet", "--all", "--message", "Install the shop")
    write_project(repository, {"shop.py": SHOP})

    with pytest.raises(StackError, match=r"HEAD would import gunicorn from .*, not from the rev"):
        described("HEAD")


@pytest.mark.parametrize("text", ["API_WORKERS", "=4", "app.name=shop", "app.python=", "x-y=1"])
def test_settings_that_are_none(text: str) -> None:
    """Each is refused."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_setting(text)


def test_only_packages_make_requirements(tmp_path: Path) -> None:
    """Not what a tool is told in the same file."""
    text = '[project]\nname = "shop"\ndependencies = ["flask"]\n'
    one = write_project(tmp_path / "one", {"pyproject.toml": text, "notes.txt": "flask\n"})
    other = write_project(tmp_path / "other", {"pyproject.toml": text + "[tool.ruff]\nx = 1\n"})

    assert requirements(one) == requirements(other) != {}
    write_project(other, {"requirements/base.txt": "flask\n"})
    assert requirements(one) != requirements(other)
