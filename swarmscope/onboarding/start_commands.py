"""The commands with which a project starts its app: in Procfile, Dockerfile, Compose, scripts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

FILES = (
    *("Procfile", "Dockerfile", "Dockerfile.*", "*.Dockerfile"),
    *("compose*.y*ml", "docker-compose*.y*ml", "*.sh", "Makefile", "*.service"),
)
SERVERS = ("gunicorn", "flask", "waitress-serve")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(.*\))?")
SERVING = {  # gunicorn's options that say how an app is served, not where: does each take a value?
    **dict.fromkeys(
        ("-w", "--workers", "-k", "--worker-class", "--threads", "-t", "--timeout"), True
    ),
    **dict.fromkeys(("--worker-connections", "--keep-alive", "--max-requests"), True),
    **dict.fromkeys(("--max-requests-jitter", "--graceful-timeout", "--backlog"), True),
    "--preload": False,
}
SEPARATORS = frozenset({"&&", "||", ";", "|", ">", ">>", "2>&1", "&"})
FLASK_APP = re.compile(r"""(?m)^[^#\n]*?\bFLASK_APP\s*[=:\s]\s*["']?([\w./:()'-]*[\w)])""")


@dataclass(frozen=True)
class StartCommand:
    """The words of a command from its server's name on, and the *file* it is in."""

    file: Path
    words: tuple[str, ...]

    @property
    def target(self) -> str | None:
        """The app that it starts, such as ``shop:create_app()``."""
        if self.words[0] == "flask":
            return self.option("--app", "-A")
        found = next((word for word in self.words[1:] if TARGET.fullmatch(word)), None)
        if found and self.words[0] == "waitress-serve" and "--call" in self.words:
            return f"{found}()"
        return found

    @property
    def serving_options(self) -> str:
        """gunicorn's options for workers and time, such as ``-w 4``; "" for another server.

        An option whose value only a shell knows is left out.
        """
        kept: list[str] = []
        words = iter(self.words[1:] if self.words[0] == "gunicorn" else ())
        for word in words:
            name, equals, _ = word.partition("=")
            if name in SERVING:
                option = [word, next(words, "")] if SERVING[name] and not equals else [word]
            else:
                option = [word] if word[:2] in SERVING else []  # -w4
            kept += [] if "$" in "".join(option) else option
        return shlex.join(kept)

    def option(self, *names: str) -> str | None:
        """Return the value of an option, written ``--name value`` or ``--name=value``."""
        for word, following in zip(self.words, (*self.words[1:], ""), strict=True):
            name, equals, value = word.partition("=")
            if name in names:
                return (value if equals else following) or None
        return None


def target_of(command: str) -> str | None:
    """Return the app that a *command* starts, None if it shows none."""
    found = (StartCommand(Path(), words).target for words in _of_servers(_shell_words(command)))
    return next(found, None)


def start_commands(directory: Path) -> list[StartCommand]:
    """Return the commands in the files of *directory* and of its directories."""
    return [
        StartCommand(path, words)
        for path in start_files(directory)
        for line in _lines(path)
        for words in _of_servers(line)
    ]


def start_files(directory: Path) -> list[Path]:
    """Return the files that may start something; the upper ones and Procfile come first."""
    return [
        path
        for folder in ("", "*/")
        for pattern in FILES
        for path in sorted(directory.glob(folder + pattern))
        if path.is_file() and not path.parent.name.startswith((".", "node_modules"))
    ]


def read_text(path: Path) -> str:
    """Return the text of a file that people write; "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield each command of a file as words."""
    text = re.sub(r"\\\n", " ", read_text(path))
    if path.suffix in (".yml", ".yaml"):
        yield from map(_words, _yaml_commands(text.splitlines()))
    elif "Dockerfile" in path.name:
        yield _docker_command(text)
    else:
        yield from (_words(line) for line in text.splitlines())


def _docker_command(text: str) -> list[str]:
    """Return the last ENTRYPOINT of a Dockerfile with its last CMD."""
    words: list[str] = []
    for instruction in ("ENTRYPOINT", "CMD"):
        found = re.findall(rf"^\s*{instruction}\s+(\[[^\]]*\]|.*)", text, re.M | re.I)
        words += _words(found[-1]) if found else []
    return words


def _yaml_commands(lines: list[str]) -> Iterator[str]:
    """Yield the values of ``command`` and ``entrypoint``, of one line or several."""
    for number, line in enumerate(lines):
        found = re.match(r"(\s*)(?:command|entrypoint):\s*(.*)", line)
        if found:
            indent, value = len(found[1]), found[2]
            block = takewhile(partial(_belongs, indent), lines[number + 1 :])
            yield " ".join([re.sub(r"^[>|][+-]?$", "", value), *map(_item, block)])


def _belongs(indent: int, line: str) -> bool:
    own = len(line) - len(line.lstrip())
    return not line.strip() or own > indent or (own == indent and line.lstrip().startswith("- "))


def _item(line: str) -> str:
    return re.sub(r"^- ", "", line.strip())


def _words(line: str) -> list[str]:
    """Split a command: a JSON list, or words as a shell reads them; scripts in a word too."""
    line = line.strip()
    if line.startswith("["):
        try:
            words = [str(word) for word in json.loads(line)]
        except ValueError:
            words = re.sub(r"[\[\],\"']+", " ", line).split()
    else:
        words = _shell_words(line)
    return [part for word in words for part in (_shell_words(word) if _is_script(word) else [word])]


def _is_script(word: str) -> bool:
    """Return whether a word is a command line of its own, as after ``sh -c``."""
    return " " in word and any(server in word for server in SERVERS)


def _shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quotation that does not end, as in prose
        return line.split()


def _of_servers(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words from a server's name to the end of its command, for each server."""
    for number, word in enumerate(words):
        if (name := word.rpartition("/")[2]) in SERVERS:
            following = takewhile(lambda word: word not in SEPARATORS, words[number + 1 :])
            yield (name, *(word.rstrip(";") for word in following))
