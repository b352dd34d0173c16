"""Where a rule's arguments come from: a list of what the rule shows one of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swarmscope.onboarding.app_process import Answer
from swarmscope.onboarding.routes import Argument, Route

USUAL_FIELDS = ("id", "uuid", "slug", "key", "code", "name")


@dataclass(frozen=True)
class IdList:
    """A list to take ids from: GET *path*, under *key* (None: the body), *field* of each item.

    *sample* is an id from it; *field* is None where the items are the ids.
    """

    path: str
    key: str | None
    field: str | None
    sample: int | str


def id_list(route: Route, argument: Argument, answers: Mapping[str, Answer]) -> IdList | None:
    """Return the list that *argument* of *route* can be taken from; *answers* are by path."""
    for path in _lists_for(route, argument, answers):
        for found in answers[path].lists:
            if chosen := _field(found["items"], argument):
                return IdList(path, found["key"], *chosen)
    return None


def _lists_for(route: Route, argument: Argument, answers: Mapping[str, Answer]) -> Iterator[str]:
    """Yield paths of lists: the rule up to the argument, then one with a name like its name."""
    before = str(route.parts[route.parts.index(argument) - 1]).rstrip("/")
    yield from (path for path in answers if path.partition("?")[0].rstrip("/") == before)
    thing = argument.name.removesuffix("_id").removesuffix("id").rstrip("_")
    if thing:
        yield from (path for path in answers if _last_word(path) in _plurals(thing))


def _last_word(path: str) -> str:
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]


def _plurals(thing: str) -> tuple[str, ...]:
    return thing, f"{thing}s", f"{thing}es", f"{thing.removesuffix('y')}ies"


def _field(items: Sequence[Any], argument: Argument) -> tuple[str | None, int | str] | None:
    """Return the field of *items* that fits, and its first value."""
    first = items[0]
    if not isinstance(first, dict):
        return (None, first) if all(argument.takes(item) for item in items) else None
    for name in (argument.name, *USUAL_FIELDS):
        if all(isinstance(item, dict) and argument.takes(item.get(name)) for item in items):
            return name, first[name]
    return None
