"""What PostgreSQL cannot hold, replaced by what it can: nothing is refused for one odd value.

And what nobody is to read there, whoever wrote the journal: secrets in texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from swarmscope.redaction import scrub_json, scrub_name, scrub_text, scrub_url

INT4_MAX = 2**31 - 1
REDACTIONS: dict[str, Callable[[str], str]] = {  # by field; samples have theirs in `batch`
    **dict.fromkeys(("arguments", "description", "environment", "profile"), scrub_text),
    **dict.fromkeys(("reason", "scenario", "testplan", "text", "version"), scrub_text),
    **dict.fromkeys(("host", "repository"), scrub_url),
    **dict.fromkeys(("details", "settings"), scrub_json),
    "grafana_url": scrub_name,
}

_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # an even number of backslashes escapes none

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


def plain_text(text: str) -> str:
    """Return *text* without NUL, which no text of PostgreSQL holds."""
    return text.replace("\0", "\ufffd")


def plain_json(text: str) -> str:
    """Return JSON without an escaped NUL, which no jsonb holds."""
    return _NUL_ESCAPE.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def storable(record: AnyStruct) -> AnyStruct:
    """Return *record* such that the database can hold it and everybody may read it.

    Its texts are plain and without secrets, its integers no larger than four bytes can tell.
    """
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    changed = {
        name: new for name, old in values.items() if (new := _storable_value(name, old)) != old
    }
    return msgspec.structs.replace(record, **changed) if changed else record


def _storable_value(name: str, value: Any) -> Any:
    if isinstance(value, str):
        redact = REDACTIONS.get(name)
        return plain_text(redact(value) if redact else value)
    if isinstance(value, int):
        return max(-INT4_MAX, min(value, INT4_MAX))
    if isinstance(value, dict):
        return {plain_text(key): plain_text(text) for key, text in value.items()}
    return value
