"""The home of a stack is found from below it, nobody else's is, and it says where things are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmscope import home


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """A stack's home, and a directory below that the test works in."""
    monkeypatch.delenv("SWARMSCOPE_HOME", raising=False)
    for name in home.NAMES_DATABASE:
        monkeypatch.delenv(name, raising=False)
    found = tmp_path / ".swarmscope"
    found.mkdir()
    (found / "database.url").write_text("postgresql://here\n")
    (tmp_path / "tests/load").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "tests/load")
    return found


def test_it_is_found_from_below(stack):
    """A scenario in a directory of its own finds the stack of its project."""
    assert home.find() == stack
    assert home.locate_database() == "postgresql://here"
    assert home.find({"SWARMSCOPE_HOME": "/elsewhere"}) == Path("/elsewhere")


def test_a_home_without_a_stack_hides_none(stack):
    """A Locust may have left its journals nearer by."""
    Path(".swarmscope/journals").mkdir(parents=True)

    assert home.find() == stack


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_a_home_of_another_user_is_none(stack):
    """In /tmp anybody could lay one out."""
    os.chown(stack / "database.url", 65534, 65534)

    assert home.find() == Path(".swarmscope")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
@pytest.mark.parametrize("linked", ["the directory", "the file"])
def test_a_strangers_link_to_a_file_of_ours_makes_no_home(stack, tmp_path, linked):
    """Samples would wait in the stranger's directory, and its other files would be believed."""
    own = stack.rename(tmp_path / "own")
    if linked == "the directory":
        stack.symlink_to(own)
        os.lchown(stack, 65534, 65534)
    else:
        stack.mkdir()
        os.chown(stack, 65534, 65534)
        (stack / "database.url").symlink_to(own / "database.url")

    assert home.find() == Path(".swarmscope")


def test_a_home_may_be_on_another_disk(stack, tmp_path):
    """A link of our own to a directory of ours is followed."""
    stack.rename(tmp_path / "elsewhere")
    stack.symlink_to(tmp_path / "elsewhere")

    assert home.find() == stack


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_a_strangers_home_in_the_way_is_refused(stack, monkeypatch):
    """It was taken for the default one: the stranger chose the database, and had the journals."""
    monkeypatch.chdir(stack.parent)
    for path in (stack / "database.url", stack):
        os.chown(path, 65534, 65534)

    with pytest.raises(SystemExit, match="belongs to another user"):
        home.find()
    assert home.find({"SWARMSCOPE_HOME": "/elsewhere"}) == Path("/elsewhere")


def test_where_prometheus_is(tmp_path):
    """An argument goes before the environment, and that before the home's own."""
    environ = {"SWARMSCOPE_HOME": str(tmp_path)}
    assert home.locate_prometheus(environ=environ) is None
    (tmp_path / "prometheus.url").write_text("http://home\n")

    assert home.locate_prometheus(environ=environ) == "http://home"
    named = {**environ, "PROMETHEUS_URL": "http://named"}
    assert home.locate_prometheus(environ=named) == "http://named"
    assert home.locate_prometheus("http://given", named) == "http://given"


def test_where_the_database_is(stack):
    """An argument goes before libpq's variables, and those before the home's own."""
    assert home.locate_database(environ={}) == "postgresql://here"
    for name in home.NAMES_DATABASE:
        assert home.locate_database(environ={name: "x"}) == ""
    assert home.locate_database("postgresql://given", {"PGHOST": "x"}) == "postgresql://given"
    (stack / "database.url").unlink()
    with pytest.raises(home.Unreachable, match=r"\.swarmscope/database\.url cannot be read; start"):
        home.locate_database(environ={})


def test_an_empty_variable_is_unset(stack):
    """As in Compose: a variable without a value names nothing."""
    (stack / "prometheus.url").write_text("http://home\n")
    empty = dict.fromkeys(("SWARMSCOPE_HOME", "PROMETHEUS_URL", *home.NAMES_DATABASE), "")

    assert home.find(empty) == stack
    assert home.locate_database(environ=empty) == "postgresql://here"
    assert home.locate_prometheus(environ=empty) == "http://home"
