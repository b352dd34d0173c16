"""A cookie jar that is opened only when there is a cookie to put in or to take out."""

from __future__ import annotations

import re
import time
from http.cookiejar import Cookie, CookieJar
from typing import Any

from geventhttpclient.header import Headers

from swarmscope.client.http.urls import Request

MOST_URLS = 256  # whose header is remembered
NEVER = float("inf")
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Jar(CookieJar):
    """A jar that remembers, until a cookie comes, goes or expires, the header of each URL."""

    _cookies: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self._headers: dict[str, str | None] = {}
        self._until = NEVER  # Unix seconds; the first cookie expires then

    def add_cookie_header(self, request: Any) -> None:
        """Add the cookies that belong to *request*."""
        if self._cookies:
            super().add_cookie_header(request)

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep the cookies of *response*."""
        if "set-cookie" in response.headers or "set-cookie2" in response.headers:
            super().extract_cookies(response, request)

    def set_cookie(self, cookie: Cookie) -> None:
        """Keep *cookie*."""
        self._headers.clear()
        super().set_cookie(cookie)
        expires = (one.expires for one in self if one.expires is not None)
        self._until = float(min(expires, default=NEVER))

    def clear(self, *where: Any, **named: Any) -> None:
        """Remove all cookies, or those of a domain, a path, a name."""
        self._headers.clear()
        super().clear(*where, **named)

    def set_policy(self, policy: Any) -> None:
        """Use *policy* from now on."""
        self._headers.clear()
        super().set_policy(policy)

    def header(self, url: str, method: str) -> str | None:
        """Return the value of ``Cookie`` for a request that has none; None for none.

        Raises `ValueError` if it is no plain ASCII text.
        """
        if not self._cookies:
            return None
        if time.time() >= self._until or len(self._headers) >= MOST_URLS:
            self._headers.clear()
        try:
            return self._headers[url]
        except KeyError:
            found = self._headers[url] = self._look_up(url, method)
            return found

    def _look_up(self, url: str, method: str) -> str | None:
        request = Request(url, method=method, headers=Headers())
        super().add_cookie_header(request)
        found = request.headers.get("Cookie")
        if found is not None and not _VALUE.fullmatch(str(found)):
            raise ValueError("a cookie that is no plain text")
        return found  # type: ignore[return-value]
