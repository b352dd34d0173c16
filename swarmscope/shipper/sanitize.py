"""Replaces secrets, and values that PostgreSQL cannot store, in any program's journal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from swarmscope.redaction import scrub_json, scrub_name, scrub_text, scrub_url

INT4_MAX = 2**31 - 1
REDACTIONS: dict[str, Callable[[str], str]] = {  # by field; `batch` redacts samples
    **dict.fromkeys(("arguments", "description", "environment", "profile"), scrub_text),
    **dict.fromkeys(("reason", "scenario", "testplan", "text", "version"), scrub_text),
    **dict.fromkeys(("host", "repository"), scrub_url),
    **dict.fromkeys(("details", "settings"), scrub_json),
    "grafana_url": scrub_name,
}

_NUL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # not itself escaped

AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


def without_nul(text: str) -> str:
    """Return *text* with NUL replaced: PostgreSQL's text cannot hold it."""
    return text.replace("\0", "\ufffd")


def json_without_nul(text: str) -> str:
    """Return JSON with escaped NULs replaced: jsonb cannot hold them."""
    return _NUL_ESCAPE.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def sanitized(record: AnyStruct) -> AnyStruct:
    """Return *record* with texts without NUL and secrets, and integers cut to four bytes."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    changed = {
        name: new for name, old in values.items() if (new := _sanitized_value(name, old)) != old
    }
    return msgspec.structs.replace(record, **changed) if changed else record


def _sanitized_value(name: str, value: Any) -> Any:
    if isinstance(value, str):
        redact = REDACTIONS.get(name)
        return without_nul(redact(value) if redact else value)
    if isinstance(value, int):
        return max(-INT4_MAX, min(value, INT4_MAX))
    if isinstance(value, dict):
        return {without_nul(key): without_nul(text) for key, text in value.items()}
    return value
