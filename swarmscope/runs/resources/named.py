"""Resources that settings name by PromQL: by `[resources.NAME]`, or by Locust's `--resources`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from swarmscope.runs.resources.presets import PRESETS

MAX_NAMED = 10
MAX_TEXT = 2000  # characters of a query
KEYS = ("use", "limit", "waiting", "preset", "match")
EXAMPLE = '{"queue": {"use": "sum(rabbitmq_queue_messages_ready)", "limit": "1000"}}'


@dataclass(frozen=True)
class NamedResource:
    """A resource by PromQL: how much is in use, of how much, and how many wait; "": unknown."""

    name: str
    use: str
    limit: str = ""
    waiting: str = ""


def parse(text: str) -> list[NamedResource]:
    """Return the resources that *text* names: JSON, or nothing.

    Raises ValueError with a line that says what is wrong.
    """
    try:
        tables = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error}): write {EXAMPLE}") from error
    if not isinstance(tables, dict):
        raise ValueError(f"must be an object: write {EXAMPLE}")
    if len(tables) > MAX_NAMED:
        raise ValueError(f"names {len(tables)} resources: at most {MAX_NAMED}")
    for name, table in tables.items():
        if found := complaint(name, table):
            key, what = found
            raise ValueError(f"{name}{' ' * bool(key)}{key}: {what}")
    return [resource for name, table in tables.items() for resource in _resources(name, table)]


def checked(text: str) -> str:
    """Return *text* if it names resources or nothing; raises ValueError as `parse` does."""
    parse(text)
    return text


def complaint(name: str, table: Any) -> tuple[str, str] | None:
    """Return what is wrong with the *table* called *name*: a key ("": none) and why; else None."""
    if not re.fullmatch(r"\w[\w .-]{0,39}", name):
        return "", "must be 1 to 40 letters, digits, spaces, . or -"
    if not isinstance(table, Mapping):
        return "", "must be a table with use or preset"
    for key, value in table.items():
        if key not in KEYS:
            return key, f"is unknown; known are {', '.join(KEYS)}"
        if why := _wrong(key, value):
            return key, why
    if ("use" in table) == ("preset" in table):
        return "", "needs one of use and preset"
    return _wrong_together(table)


def _wrong(key: str, value: Any) -> str | None:
    if key == "limit" and type(value) in (int, float) and value > 0:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        return "must be a string in quotes, not empty" + " or a number above 0" * (key == "limit")
    if not "".join(value.split()).isprintable():
        return "must be text without control characters"
    if key == "preset" and value not in PRESETS:
        return f"must be one of {', '.join(PRESETS)}"
    return None


def _wrong_together(table: Mapping[str, Any]) -> tuple[str, str] | None:
    preset = table.get("preset")
    if preset is None:
        return ("match", "goes with preset only") if "match" in table else None
    several = len(PRESETS[preset]) > 1
    own = next((key for key in ("limit", "waiting") if key in table), None)
    return (
        (own, f"does not go with preset {preset}, which has its own") if own and several else None
    )


def _resources(name: str, table: Mapping[str, Any]) -> Iterator[NamedResource]:
    given = {key: str(table[key]) for key in ("use", "limit", "waiting") if key in table}
    if "preset" not in table:
        yield NamedResource(name, **given)
        return
    match = f"{table['match']}," if "match" in table else ""
    for what, queries in PRESETS[table["preset"]].items():
        texts = {key: text.replace("$match", match) for key, text in queries.items()}
        yield NamedResource(f"{name} {what}", **(texts | given))
