"""How a command starts gunicorn, in the forms in which people write it."""

from __future__ import annotations

import pytest

from swarmscope.stack.gunicorn_command import bound_port, starts_gunicorn, without_conf

SHELL = ["/bin/sh", "-c"]


@pytest.mark.parametrize(
    ("command", "expected", "conf"),
    [
        (["gunicorn", "a:b"], ["gunicorn", "a:b"], None),
        (["gunicorn", "-c", "x.py", "a:b"], ["gunicorn", "a:b"], "x.py"),
        (["/venv/bin/gunicorn", "-cx.py", "a:b"], ["/venv/bin/gunicorn", "a:b"], "x.py"),
        (["gunicorn", "--config=x.py", "a:b"], ["gunicorn", "a:b"], "x.py"),
        (["python", "-m", "gunicorn", "--config", "x.py"], ["python", "-m", "gunicorn"], "x.py"),
        ([*SHELL, "run && gunicorn -c x.py a:b"], [*SHELL, "run && gunicorn a:b"], "x.py"),
        ([*SHELL, "gunicorn --chdir src a:b"], [*SHELL, "gunicorn --chdir src a:b"], None),
        (["python", "-c", "print()"], ["python", "-c", "print()"], None),
        (["gunicorn", "-c", "python:x", "a:b"], ["gunicorn", "-c", "python:x", "a:b"], None),
    ],
)
def test_its_conf_file_is_taken_out(
    command: list[str], expected: list[str], conf: str | None
) -> None:
    """The shell's own -c stays, and everything else."""
    assert without_conf(command) == (expected, [], conf)


def test_entrypoint_and_command_stay_apart() -> None:
    """An image may have gunicorn in one and its arguments in the other."""
    assert without_conf(["-c", "x.py", "a:b"], ["tini", "gunicorn"]) == (
        ["a:b"],
        ["tini", "gunicorn"],
        "x.py",
    )


@pytest.mark.parametrize(
    ("words", "environment", "port"),
    [
        (["gunicorn", "-b", "0.0.0.0:8080", "a:b"], {}, 8080),
        (["gunicorn", "--bind=[::]:80", "a:b"], {}, 80),
        ([*SHELL, 'gunicorn --bind "0.0.0.0:${PORT:-1}" a:b'], {"PORT": "9000"}, 9000),
        (["gunicorn", "-b", ":$PORT", "a:b"], {}, None),
        (["gunicorn", "a:b"], {"GUNICORN_CMD_ARGS": "--bind=0.0.0.0:8001"}, 8001),
        (["gunicorn", "a:b"], {}, None),
        (["flask", "run", "-b", ":1"], {}, None),
    ],
)
def test_the_port_it_binds(words: list[str], environment: dict[str, str], port: int | None) -> None:
    """As far as the command and the image's variables say."""
    assert bound_port(words, environment) == port


def test_what_is_gunicorn() -> None:
    """Its name as a word, with or without a path."""
    assert starts_gunicorn([*SHELL, "exec /venv/bin/gunicorn a:b"])
    assert not starts_gunicorn(["python", "gunicorn.conf.py"])
