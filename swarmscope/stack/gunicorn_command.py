"""How a command starts gunicorn: its conf file, and the port that it binds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

START_OF_COMMAND = "\1"
CONF = re.compile(r"[\s\0](?:-c[\s\0]*|--config[\s\0=])([^\s\0:]+)(?=[\s\0]|$)")  # not a module
BIND = re.compile(r"(?:\s|^)(?:-b\s*|--bind[\s=])(\S+)")
GUNICORN = re.compile(r"\bgunicorn(?=[\s\0]|$)")


def starts_gunicorn(words: Sequence[str]) -> bool:
    """Return whether a command starts gunicorn, in a shell's text too."""
    return any(GUNICORN.search(word) for word in words)


def without_conf(
    command: Sequence[str], entrypoint: Sequence[str] = ()
) -> tuple[list[str], list[str], str | None]:
    """Return both without gunicorn's conf file, and that file.

    On a command line it would take precedence over ours, which loads it. A conf module, such as
    ``python:shop.conf``, stays.
    """
    # as one text, for a pattern to find the option in any form; no word holds a NUL
    text = "\0".join((*entrypoint, START_OF_COMMAND, *command))
    start = GUNICORN.search(text)
    conf = CONF.search(text, start.end()) if start else None
    if conf:
        text = text[: conf.start()] + text[conf.end() :]
    words = text.split("\0")
    middle = words.index(START_OF_COMMAND)
    return words[middle + 1 :], words[:middle], conf[1] if conf else None


def bound_port(words: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """Return the port that gunicorn is told to bind, None if its command does not name one."""
    text = f"{' '.join(words)} {environment.get('GUNICORN_CMD_ARGS', '')}"
    bind = BIND.search(text) if "gunicorn" in text else None
    if bind is None:
        return None
    address = re.sub(r"\$\{?(\w+)[^}]*\}?", lambda m: environment.get(m[1], ""), bind[1])
    port = re.search(r"(\d+)['\"]?$", address.rpartition(":")[2])
    return int(port[1]) if port else None
