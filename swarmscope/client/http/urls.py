"""URLs and requests whose URL is parsed once: Locust's own parse it several times for each."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

from geventhttpclient.url import URL
from locust.contrib.fasthttp import FastRequest


def _once(part: Any) -> cached_property[Any]:
    # a function: in Python 3.13 cached_property takes no bound method of C
    return cached_property(lambda url: part.__get__(url))


class _Url(URL):
    """A URL whose parts are worked out once; URLs never change."""

    def __init__(self, url: Any = "", params: Any = None) -> None:
        super().__init__(url, params)
        self._text = url if isinstance(url, str) and params is None else super().__str__()

    def __str__(self) -> str:
        return str(self._text)

    # The parts that every request reads; each is geventhttpclient's own, remembered.
    scheme = _once(URL.scheme)
    host = _once(URL.host)
    port = _once(URL.port)
    netloc = _once(URL.netloc)
    request_uri = _once(URL.request_uri)
    quoted_uri = _once(URL.quoted_uri)


parsed = lru_cache(maxsize=4096)(_Url)


class Request(FastRequest):
    """Locust's request; URLs that were parsed before are not parsed again."""

    def set_url(self, url: str | URL, params: Any = None) -> None:
        """Take *url* with the query parameters *params*."""
        super().set_url(parsed(url) if isinstance(url, str) and params is None else url, params)
