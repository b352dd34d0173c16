"""The text of a request up to its body: built once by geventhttpclient, then only filled in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from geventhttpclient.client import HTTPClient
from geventhttpclient.header import Headers
from locust.contrib.fasthttp import LocustUserAgent

from swarmscope.client.http.propagation import SENT, TRACE

MOST_HEADS = 4096
_LENGTH = 7_777_777_777
_GAPS = ("t=7777777771", "7777777772", "7777777773", str(_LENGTH))  # sent, trace, cookie, length
_TYPES = {
    "form": "application/x-www-form-urlencoded; charset=utf-8",
    "text": "text/plain; charset=utf-8",
    "bytes": "application/octet-stream",
}


class Head(NamedTuple):
    """A head with gaps for the start, the trace, the cookies and the length of the body."""

    text: str  # for str.format
    sent: bool  # whether it has a gap for X-Request-Start, or the scenario sets that header
    trace: bool  # the same for traceparent


class _AnyLength(bytes):
    """A body that stands for any other."""

    def __len__(self) -> int:
        return _LENGTH


_heads: dict[tuple[Any, ...], Head | None] = {}


def head_of(
    client: HTTPClient, agent: LocustUserAgent, method: str, url: str, headers: dict[str, Any],
    cookie: bool, body: str | None,
) -> Head | None:  # fmt: skip
    """Return the head of a request, None if it is better left to Locust.

    *body* is ``form``, ``text`` or ``bytes``, which decides about its type; None without one.
    Raises `TypeError` if *headers* have values that are neither text nor numbers.
    """
    defaults = dict.values(agent.default_headers)
    key = (method, url, *headers.items(), *defaults, cookie, body, *_fixed(client))
    try:
        return _heads[key]
    except KeyError:
        if len(_heads) >= MOST_HEADS:
            _heads.clear()
        built = _heads[key] = _build(client, agent, method, url, headers, cookie, body)
        return built


def _fixed(client: Any) -> tuple[Any, ...]:
    """Return what a client adds to its requests."""
    try:
        return client.fixed  # type: ignore[no-any-return]
    except AttributeError:
        fixed = (client.version, client.use_proxy, *dict.values(client.default_headers))
        client.fixed = fixed
        return fixed


def _build(
    client: Any, agent: Any, method: str, url: str, given: dict[str, Any],
    cookie: bool, body: str | None,
) -> Head | None:  # fmt: skip
    headers = agent.default_headers.copy()
    headers.update(given)
    marked = SENT not in headers, TRACE not in headers
    for name, gap, missing in zip((SENT, TRACE), _GAPS, marked, strict=False):
        if missing:
            headers[name] = gap
    _describe_body(headers, body)
    try:
        request = agent._make_request(url, method=method, headers=headers)
        request.payload = _AnyLength() if body else None
        if cookie and "cookie" not in headers:
            request.headers.add("Cookie", _GAPS[2])
        sent = _sent(request)
        if client.use_proxy or _is_rare(sent["headers"]):
            return None
        text = client._build_request(sent.pop("method").upper(), sent.pop("uri"), **sent)
        text.encode("latin-1")
    except ValueError:  # Locust raises it once more
        return None
    return Head(_with_gaps(text), *marked)


def _describe_body(headers: Headers, body: str | None) -> None:
    """Add the headers that geventhttpclient adds for a body."""
    if body is None:
        return
    if has_none := not headers.get("content-type"):
        headers["content-type"] = _TYPES[body]
    if body == "form" or (body == "text" and has_none):
        headers["content-length"] = _GAPS[3]


def _sent(request: Any) -> dict[str, Any]:
    """Return what Locust's agent passes to its client for *request*."""
    found: dict[str, Any] = {}

    def take(method: str, uri: str, body: Any = b"", headers: Any = None) -> Any:
        found.update(method=method, uri=uri, body=b"" if body is None else body, headers=headers)
        return SimpleNamespace(_sent_request=None)

    pool = SimpleNamespace(get_client=lambda _url: SimpleNamespace(request=take))
    agent: Any = SimpleNamespace(clientpool=pool, response_type=lambda *_, **__: None)
    LocustUserAgent._urlopen(agent, request)
    return found


def _is_rare(headers: Headers) -> bool:
    return "transfer-encoding" in headers or "expect" in headers


def _with_gaps(text: str) -> str:
    text = text.replace("{", "{{").replace("}", "}}")
    for number, gap in enumerate(_GAPS):
        text = text.replace(gap, f"{{{number}}}")
    return text
