"""The page "Both ends" in Locust's UI: its routes, and the process that reads runs for them.

    /both-ends                 the page
    /both-ends/run/RUN.json    a run's document; RUN is latest, an id, or an id's beginning
    /both-ends/run/RUN/profiles.json    its flame graphs
    /both-ends/runs.json       the latest runs, as `swarmscope runs --json` prints them

A child process (`swarmscope.runs.page.reader`) reads the runs database, and its replies are cached
briefly: any number of open pages cost what one does, and Locust's event loop only copies bytes.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import html
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import gevent
import msgspec
from flask import Blueprint, Response, request, url_for
from gevent.lock import BoundedSemaphore
from locust.env import Environment

from swarmscope.client.frozen_options import Options, shipper_environment
from swarmscope.runs import page
from swarmscope.runs.page.protocol import FRESH_S, ReplyHeader, RunRequest

PATIENCE_S = 12.0
IDLE_S = 60.0
MAX_ANSWERS = 16
MAX_NAME = 64
HTML = "text/html; charset=utf-8"

LINK = (
    '<a href="{path}" style="position:fixed;z-index:1300;left:24px;bottom:16px;padding:8px 14px;'
    "border-radius:4px;font:500 14px Roboto,Helvetica,Arial,sans-serif;color:#fff;"
    'background:#15803d;text-decoration:none">Both ends</a>'
)


View = Callable[..., Response]


@dataclass
class CachedResponse:
    """A gzip'ed body, and until when it may be sent again."""

    status: int
    body: bytes
    tag: str
    kind: str = "application/json"
    until: float = inf  # by the monotonic clock


class Readers:
    """Queries the child process, one request at a time; starts it on demand, ends it when idle."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = BoundedSemaphore()
        self._answers: OrderedDict[RunRequest, CachedResponse] = OrderedDict()
        self._asked = 0.0

    def ask(self, run: str | None, profiles: bool = False) -> CachedResponse:
        """Return what is known of *run*, or of all runs, from the cache or the child process."""
        self._asked, asked = time.monotonic(), RunRequest(run, profiles)
        if (kept := self._kept(asked)) is None:
            with self._turn:
                kept = self._kept(asked) or self._keep(asked, self._ask_child(asked))
        return kept

    def _kept(self, asked: RunRequest) -> CachedResponse | None:
        answer = self._answers.get(asked)
        return answer if answer and time.monotonic() < answer.until else None

    def _keep(self, asked: RunRequest, answer: CachedResponse) -> CachedResponse:
        self._answers[asked] = answer
        self._answers.move_to_end(asked)
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        return answer

    def _ask_child(self, asked: RunRequest) -> CachedResponse:
        try:
            with gevent.Timeout(PATIENCE_S, TimeoutError("it takes too long")):
                head, body = self._converse(asked)
        except (OSError, EOFError, TimeoutError, msgspec.DecodeError) as error:
            self.end()
            text = f"the runs database cannot be read: {error or type(error).__name__}"
            body = gzip.compress(msgspec.json.encode({"message": text}))
            return CachedResponse(503, body, "", until=time.monotonic() + FRESH_S)
        return CachedResponse(head.status, body, head.tag, until=time.monotonic() + head.lasts_s)

    def _converse(self, asked: RunRequest) -> tuple[ReplyHeader, bytes]:
        child = self._started()
        assert child.stdin
        assert child.stdout
        child.stdin.write(msgspec.json.encode(asked) + b"\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if not line:
            raise EOFError("its reader has died")
        head = msgspec.json.decode(line, type=ReplyHeader)
        return head, child.stdout.read(head.length)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "swarmscope.runs.page.reader"]
            command += ["--database", self._options.database]
            self._child = subprocess.Popen(
                command,
                env=shipper_environment(self._options),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            gevent.spawn(self._end_when_idle, self._child)
        return self._child

    def _end_when_idle(self, child: subprocess.Popen[bytes]) -> None:
        while self._child is child:
            gevent.sleep(IDLE_S / 4)
            if time.monotonic() > self._asked + IDLE_S:
                with self._turn:
                    self.end()

    def end(self) -> None:
        """End the child; the next question starts another."""
        child, self._child = self._child, None
        if child:
            child.kill()  # it only reads
            child.wait()


def attach(environment: Environment, options: Options) -> None:
    """Add the page to Locust's UI, if there is one, with a link to it."""
    if environment.web_ui is None:
        return
    readers = Readers(options)
    app: Any = environment.web_ui.app
    private: Callable[[View], View] = environment.web_ui.auth_required_if_enabled
    routes = Blueprint("both_ends", __name__, url_prefix=app.blueprints["locust"].url_prefix)

    @routes.get("/both-ends")
    @private
    def show_page() -> Response:
        return _given(_page())

    @routes.get("/both-ends/runs.json")
    @private
    def list_runs() -> Response:
        return _given(readers.ask(None))

    @routes.get("/both-ends/run/<run>.json")
    @private
    def show_run(run: str) -> Response:
        return _given(readers.ask(run[:MAX_NAME]))

    @routes.get("/both-ends/run/<run>/profiles.json")
    @private
    def show_profiles(run: str) -> Response:
        return _given(readers.ask(run[:MAX_NAME], profiles=True))

    app.register_blueprint(routes)
    app.after_request(_with_link)
    environment.events.quit.add_listener(lambda **_: readers.end())


@functools.cache
def _page() -> CachedResponse:
    content = page.render(None, live=True).encode()
    tag = hashlib.sha256(content).hexdigest()[:16]
    return CachedResponse(200, gzip.compress(content), tag, HTML)


def _given(answer: CachedResponse) -> Response:
    """Return the response to the current request, compressed if its sender accepts that."""
    response = Response(answer.body, answer.status, content_type=answer.kind)
    response.headers["Cache-Control"] = "private, no-cache"  # ask whether it has changed
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept-Encoding")
    if request.accept_encodings["gzip"]:
        response.content_encoding = "gzip"
    else:
        response.set_data(gzip.decompress(answer.body))
    if answer.tag:
        response.set_etag(answer.tag)
        response.make_conditional(request)
    return response


def _with_link(response: Response) -> Response:
    """Add a link to Locust's own page, which has no place for one."""
    if request.endpoint == "locust.index" and response.status_code == 200:
        link = LINK.format(path=html.escape(url_for("both_ends.show_page")))
        response.set_data(response.get_data(as_text=True).replace("</body>", f"{link}</body>"))
    return response
