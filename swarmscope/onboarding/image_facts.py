"""What a container's image says of itself: by its Dockerfile, or by the Docker engine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

INSPECT_S = 20


@dataclass(frozen=True)
class ImageFacts:
    """How an image starts: *entrypoint* and *command* are words, ``sh -c TEXT`` for a shell's text.

    *ports* are those that it exposes; *user* is its number or name, "" for root or unknown.
    """

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[int] = ()
    user: str = ""
    has_healthcheck: bool = False
    has_python: bool = False

    @property
    def words(self) -> list[str]:
        """The whole command that a container runs."""
        return [*self.entrypoint, *self.command]


def of_dockerfile(text: str) -> ImageFacts:
    """Return what the last stage of a Dockerfile says."""
    stages: dict[str, ImageFacts] = {}
    name, facts = "", ImageFacts()
    lines = re.sub(r"\\\s*\n(\s*#.*\n)*", " ", text).splitlines()
    for line in lines:
        instruction, _, value = line.strip().partition(" ")
        if instruction.upper() == "FROM":
            base, _, name = re.sub(r"--\S+\s+", "", value).strip().partition(" ")
            name = name.strip().rpartition(" ")[2]
            is_python = "python" in base.lower()
            facts = stages.get(base) or ImageFacts(has_python=is_python)
        else:
            facts = _after(facts, instruction.upper(), value.strip())
        stages[name] = facts
    return facts


def _after(facts: ImageFacts, instruction: str, value: str) -> ImageFacts:
    """Return *facts* as an instruction changes them."""
    match instruction:
        case "ENTRYPOINT":
            return replace(facts, entrypoint=_words(value), command=())
        case "CMD":
            return replace(facts, command=_words(value))
        case "ENV":
            return replace(facts, environment={**facts.environment, **_variables(value)})
        case "EXPOSE":
            ports = [int(port) for port in re.findall(r"(?<!\S)(\d+)", value)]
            return replace(facts, ports=(*facts.ports, *ports))
        case "USER":
            return replace(facts, user=value.partition(":")[0])
        case "HEALTHCHECK":
            return replace(facts, has_healthcheck=value.upper() != "NONE")
        case "RUN" if re.search(r"\bpip3? install\b|\bpython3?\b", value):
            return replace(facts, has_python=True)
    return facts


def _words(value: str) -> Sequence[str]:
    """Return a command's words: a JSON list, or a text for the shell."""
    if value.startswith("["):
        try:
            return [str(word) for word in json.loads(value)]
        except ValueError:  # Docker takes it for a shell's text, too
            pass
    return ("/bin/sh", "-c", value)


def _variables(value: str) -> dict[str, str]:
    """Return what ENV sets: ``A=1 B="2 3"``, or in its old form ``A 1``."""
    name, _, rest = value.partition(" ")
    if "=" not in name:
        return {name: rest.strip()}
    return dict(word.partition("=")[::2] for word in shlex.split(value) if "=" in word)


def of_image(image: str) -> ImageFacts | None:
    """Return what the Docker engine here knows of *image*, None if it has none or is missing."""
    command = ["docker", "image", "inspect", image]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSPECT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _inspected(json.loads(done.stdout)[0]["Config"]) if done.returncode == 0 else None


def _inspected(config: Mapping[str, Any]) -> ImageFacts:
    environment = dict(pair.partition("=")[::2] for pair in config.get("Env") or ())
    test = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    return ImageFacts(
        entrypoint=config.get("Entrypoint") or (),
        command=config.get("Cmd") or (),
        environment=environment,
        ports=[int(port.partition("/")[0]) for port in config.get("ExposedPorts") or ()],
        user=(config.get("User") or "").partition(":")[0],
        has_healthcheck=test[0] != "NONE",
        has_python="PYTHON_VERSION" in environment,  # of the official images
    )
