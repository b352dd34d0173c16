"""Rows in PostgreSQL's binary COPY format, packed by hand: most of the cost of shipping.

Format: PostgreSQL documentation, COPY, "Binary Format". A row is the number of its fields, then
each field's length in bytes (−1 for NULL) and content, all big-endian. Times are microseconds since
2000.
"""

from __future__ import annotations

from binascii import hexlify
from datetime import datetime
from functools import cache
from struct import Struct, error, pack
from uuid import UUID

from swarmscope.runs.histogram import Window
from swarmscope.shipper.sanitize import INT4_MAX, json_without_nul, without_nul
from swarmscope.shipper.windows import Key

BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
MICROSECONDS = 1_000_000
EPOCH_US = 946_684_800 * MICROSECONDS  # from 1970 to 2000
INT2_OID, INT4_OID = 21, 23
TRACE_BYTES = 16
NO_COMPONENTS = 8 * NULL

_LENGTH = Struct(">i")
_pack_whole = Struct(">iqidiiiiidididi32s").pack
_pack_plain = Struct(">iqidiiiiiiidi32s").pack
_pack_components = Struct(">" + "if" * 5 + "ii" * 3).pack
_DOUBLE = Struct(">id")
_INT4 = Struct(">ii")
_INT8 = Struct(">iq")
_ARRAY = Struct(">iiIii")

REQUEST_COLUMNS = (
    "run_id, loadgen, pid, testplan, name, request_type, url, exception, context, success, "
    "start_delay_ms, cpu_ms, db_ms, pool_ms, http_ms, cache_ms, db_calls, http_calls, cache_calls, "
    "time, response_time, greenlet_id, response_length, queue_ms, service_ms, receiving_ms, "
    "trace_id"
)
_REQUEST_FIELDS = pack(">h", REQUEST_COLUMNS.count(",") + 1)
WINDOW_COLUMNS = (
    "journal_id, run_id, name, request_type, part, resolution, time, sum_ms, max_ms, "
    "count, failures, buckets, counts"
)
_WINDOW_FIELDS = pack(">h", WINDOW_COLUMNS.count(",") + 1)


def copy_into(table: str, columns: str) -> str:
    """Return the statement that starts a COPY of rows with these columns."""
    return f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)"


def text(value: str | None) -> bytes:
    """Return a text field; characters that PostgreSQL cannot store are replaced."""
    if value is None:
        return NULL
    content = without_nul(value).encode("utf-8", "replace")
    return _LENGTH.pack(len(content)) + content


def json(value: str | None) -> bytes:
    """Return a jsonb field; *value* is JSON."""
    if value is None:
        return NULL
    content = b"\x01" + json_without_nul(value).encode("utf-8", "replace")
    return _LENGTH.pack(len(content)) + content


def int2(value: int) -> bytes:
    """Return a smallint field."""
    return pack(">ih", 2, value)


def int4(value: int | None) -> bytes:
    """Return an integer field, cut to four bytes; NULL for a negative value."""
    return NULL if value is None or value < 0 else _INT4.pack(4, min(value, INT4_MAX))


def double(value: float | None) -> bytes:
    """Return a double precision field."""
    return NULL if value is None else _DOUBLE.pack(8, value)


def run(run_id: str) -> bytes:
    """Return a run's id as a timestamptz field."""
    return timestamp(run_us(run_id))


def run_us(run_id: str) -> int:
    """Return a run's start in microseconds since 1970; raises ValueError for an invalid id."""
    moment = datetime.fromisoformat(run_id)
    return int(moment.timestamp()) * MICROSECONDS + moment.microsecond


def timestamp(unix_us: int) -> bytes:
    """Return a timestamptz field."""
    return _INT8.pack(8, unix_us - EPOCH_US)


def request_head(*fields: bytes) -> bytes:
    """Return the first part of a request's row, which requests of one endpoint share."""
    return _REQUEST_FIELDS + b"".join(fields)


def with_start_delay(head: bytes, start_delay_ms: float) -> bytes:
    """Return *head* with its last field, so far NULL, set to a request's start delay (ms)."""
    return head.removesuffix(NULL) + double(start_delay_ms)


def request_tail(
    time_us: int,
    response_ms: float | None,
    greenlet: int,
    length: int | None,
    queue_ms: float | None,
    service_ms: float | None,
    receiving_ms: float | None,
    trace_id: bytes | None,
) -> bytes:
    """Return the last fields of a request's row; *time_us* counts from 2000.

    A *trace_id* that is not 16 bytes becomes NULL.
    """
    if trace_id is not None and len(trace_id) == TRACE_BYTES:
        try:  # checking each value would cost more than packing them
            if queue_ms is None and service_ms is None:
                return _pack_plain(
                    8, time_us, 8, response_ms, 4, greenlet, 4, length, -1, -1, 8, receiving_ms,
                    32, hexlify(trace_id),
                )  # fmt: skip
            return _pack_whole(
                8, time_us, 8, response_ms, 4, greenlet, 4, length, 8, queue_ms, 8, service_ms,
                8, receiving_ms, 32, hexlify(trace_id),
            )  # fmt: skip
        except error:
            pass  # a value is missing or out of range
        trace = text(trace_id.hex())
    else:
        trace = NULL
    process = _INT4.pack(4, greenlet & INT4_MAX) + int4(length)
    parts = double(queue_ms) + double(service_ms) + double(receiving_ms)
    return _INT8.pack(8, time_us) + double(response_ms) + process + parts + trace


def component_fields(
    cpu: float | None,
    db: float,
    pool: float,
    http: float,
    cache: float,
    db_calls: int,
    http_calls: int,
    cache_calls: int,
) -> bytes:
    """Return the middle fields of a request's row: components of service time (ms), and calls."""
    fields = _pack_components(
        4, cpu or 0.0, 4, db, 4, pool, 4, http, 4, cache, 4, db_calls, 4, http_calls, 4, cache_calls
    )
    return NULL + fields[8:] if cpu is None else fields


def window_row(journal: UUID, key: Key, window: Window) -> bytes:
    """Return a row of ``histogram_closed`` or ``histogram_open``."""
    buckets = sorted(window.counts)
    return b"".join(
        (
            _WINDOW_FIELDS,
            _LENGTH.pack(16),
            journal.bytes,
            run(key.run),
            text(key.name),
            text(key.request_type),
            text(key.part),
            pack(">ih", 2, key.resolution),
            timestamp(key.time * MICROSECONDS),
            pack(">idid", 8, window.sum_ms, 8, window.max_ms),
            pack(">iiii", 4, window.count, 4, window.failures),
            _array(INT2_OID, "h", 2, buckets),
            _array(INT4_OID, "i", 4, [window.counts[number] for number in buckets]),
        )
    )


def _array(oid: int, code: str, size: int, values: list[int]) -> bytes:
    flat = [size] * (2 * len(values))
    flat[1::2] = values
    content = _ARRAY.pack(1, 0, oid, len(values), 1) + _elements(code, len(values)).pack(*flat)
    return _LENGTH.pack(len(content)) + content


@cache
def _elements(code: str, number: int) -> Struct:
    """Return the format of *number* elements; the cache of `struct` is too small for these."""
    return Struct(">" + f"i{code}" * number)
