"""A server that answers as GitHub's API of comments: lists by page, creates, updates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

DEFAULT_PER_PAGE, MAX_PER_PAGE = 30, 100


@dataclass
class Comments:
    """The comments of a pull request, and what was asked; *refusal* answers every request."""

    url: str = ""
    token: str = "secret"
    refusal: int = 0
    there: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def add(self, body: str, kind: str = "Bot", association: str = "NONE") -> dict[str, Any]:
        """Add a comment, as somebody else may have written it."""
        number = len(self.there) + 1
        comment = {
            "id": number,
            "body": body,
            "user": {"login": "somebody", "type": kind},
            "author_association": association,
            "html_url": f"https://github.example/c/{number}",
        }
        self.there.append(comment)
        return comment

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        """Return status and JSON."""
        self.asked.append(f"{method} {path}")
        if self.refusal or token != f"Bearer {self.token}":
            return self.refusal or 401, {"message": "no"}
        parts = urlsplit(path)
        if parts.path == "/repos/shop/app/issues/7/comments":
            if method == "POST":
                return 201, self.add(body["body"])
            query = {name: int(texts[0]) for name, texts in parse_qs(parts.query).items()}
            size = min(query.get("per_page", DEFAULT_PER_PAGE), MAX_PER_PAGE)
            first = (query.get("page", 1) - 1) * size
            return 200, self.there[first : first + size]
        name, _, number = parts.path.rpartition("/")
        if method == "PATCH" and name == "/repos/shop/app/issues/comments":
            self.there[int(number) - 1]["body"] = body["body"]
            return 200, self.there[int(number) - 1]
        return 404, {"message": "Not Found"}


@contextmanager
def comments() -> Iterator[Comments]:
    """Yield the comments of pull request 7 of shop/app, served at their `url`."""
    known = Comments()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "")
            status, found = known.answer(self.command, self.path, token, body)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield known
        server.shutdown()
