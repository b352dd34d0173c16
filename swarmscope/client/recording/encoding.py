"""Turns samples and other records into payloads of a journal, whatever their fields hold."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from swarmscope.client import clock
from swarmscope.journal.records import SAMPLES_TAG, Record
from swarmscope.journal.text_limits import MAX_SAMPLE_BYTES, MAX_TEXT, bounded

MOST_RECORD_BYTES = 1 << 20  # of another record than samples; longer ones lose the ends of texts
UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)

_encode = msgspec.msgpack.Encoder().encode

Row = tuple[Any, ...]


def encoded_samples(run: str, plan: str, rows: list[Row], start_delay_ms: list[float]) -> bytes:
    """Return a block of samples that have just finished.

    One that takes too much holds the beginnings of texts only.
    """
    offset_s = clock.offset_s - clock.step_s()  # starts are by the machine's clock
    block, ends = (SAMPLES_TAG, run, plan, offset_s), (start_delay_ms, time.time())
    try:
        payload = _encode((*block, rows, *ends))
    except UNENCODABLE:
        rows = [tuple(map(_plain, row)) for row in rows]
        payload = _encode((*block, rows, *ends))
    if len(payload) <= MAX_SAMPLE_BYTES * len(rows):
        return payload
    return _encode((*block, [*map(bounded, rows)], *ends))


def encoded(record: Record) -> bytes:
    """Return *record*, what MessagePack cannot hold replaced by its text."""
    try:
        payload = _encode(record)
    except UNENCODABLE:
        fields = map(_plain, msgspec.structs.astuple(record))
        payload = _encode((type(record).__name__.lower(), *fields))
    return payload if len(payload) <= MOST_RECORD_BYTES else _encode(_shortened(record))


def _shortened(record: Record) -> tuple[Any, ...]:
    """Return the fields of *record* with the beginnings of long texts; half a JSON is none."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    long = {name for name, value in values.items() if len(str(value)) > MAX_TEXT}
    texts = {name: str(values[name])[:MAX_TEXT] for name in long if name != "details"}
    fields = {**values, **dict.fromkeys(long), **texts}
    return type(record).__name__.lower(), *map(_plain, fields.values())


def _plain(value: Any) -> Any:
    try:
        _encode(value)
    except UNENCODABLE:
        return _describe_value(value)
    return value


def _describe_value(value: Any) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:  # whatever a user's __str__ may raise
        return f"<{type(value).__qualname__}>"
