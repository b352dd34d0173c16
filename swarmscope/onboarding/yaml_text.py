"""Values as YAML, the way people write it: blocks for maps, one line for a list of words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PLAIN = re.compile(r"\d+s|[A-Za-z./_$][\w./:@$(){}-]*")  # needs no quotes
OTHER_TYPES = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n|~")


def yaml_text(value: Any, indent: int = 0) -> str:
    """Return a map or a list of maps as lines, each after *indent* spaces.

    What is None is left out. JSON's strings and flow lists are YAML's, too.
    """
    return "".join(f"{' ' * indent}{line}\n" for line in _lines(value))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if inner is not None:
                yield from _entry(f"{name}:", inner)
    else:
        for item in value:
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _entry(name: str, value: Any) -> Iterator[str]:
    if _is_block(value):
        yield name
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{name} {_flow(value)}"


def _is_block(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and any(isinstance(item, Mapping) for item in value)


def _flow(value: Any) -> str:
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and not OTHER_TYPES.fullmatch(value)
        return value if is_plain and not value.endswith(":") else json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_inside(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_inside, value)) + "]"
    return json.dumps(value)


def _inside(value: Any) -> str:
    """Return a value inside of brackets, where commas and brackets would end it."""
    text = _flow(value)
    return json.dumps(value) if isinstance(value, str) and re.search(r"[{}:]", text) else text
