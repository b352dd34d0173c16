"""The metrics of statements: a bounded table of their texts without literals, by route."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge

from swarmscope.server.components.statements import Executed
from swarmscope.server.labels import Labels
from swarmscope.server.slots import FILES
from swarmscope.sql_text import MAX_READ, Normaliser

STATEMENT_SECONDS = "flask_db_statement_seconds"
STATEMENT_CALLS = "flask_db_statement_calls"
STATEMENT_ROWS = "flask_db_statement_rows"
STATEMENT_LONGEST = "flask_db_statement_longest_seconds"
STATEMENT_FAMILIES = frozenset(
    (STATEMENT_SECONDS, STATEMENT_CALLS, STATEMENT_ROWS, STATEMENT_LONGEST)
)
MAX_TEXTS = 1_000  # whose text without literals is remembered
MAX_STATEMENTS = 200  # of all routes
MAX_WAITING = 100  # new texts; more are counted as `OTHER`
PAUSE_S = 0.05  # after each new text: at most 20 a second
MAX_SHARE = 0.05  # of a CPU, that new texts take
KEPT_S = 15.0  # the longest execution is that of the current and the previous span of this length
OTHER = "other"

logger = logging.getLogger(__name__)

Key = tuple[str, int]  # dialect, and hash of a text
Route = tuple[str, str]  # method and group


class StatementMetrics:
    """Counters of statements by method, *group* (the label of a request's rule) and text.

    A text that is new is normalised in a thread of its own, and counted after that.
    """

    def __init__(self, registry: CollectorRegistry, group: str) -> None:
        """Raise ImportError where sqlparse is missing."""
        self._normalise = Normaliser()
        labels = ("method", group, "statement")
        text = "Seconds in executing database statements and fetching their rows"
        self.seconds = Counter(STATEMENT_SECONDS, text, labels, registry=registry)
        text = "Database statements, without their literals"
        self.calls = Counter(STATEMENT_CALLS, text, labels, registry=registry)
        text = "Rows that database statements returned or changed"
        self.rows = Counter(STATEMENT_ROWS, text, labels, registry=registry)
        text = "Longest execution of a database statement in the last 15 to 30 s, in seconds"
        self.longest = Gauge(
            STATEMENT_LONGEST, text, labels, multiprocess_mode="max", registry=registry
        )
        self._group = group
        self._texts: OrderedDict[Key, str] = OrderedDict()
        self._waiting: dict[Key, tuple[str, list[tuple[Route, Executed]]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cells: dict[Labels, Cells] = {}
        self._span_ends = 0.0
        FILES.add_keeper(self)

    def forget_cells(self) -> None:
        """Drop all cells: their values have moved. What waits is that of the process before."""
        self._lock, self._thread = threading.Lock(), None
        self._waiting = {}
        self._cells = {labels: Cells(self, labels) for labels in self._counted()}

    def add(self, route: Route, statements: Mapping[str, Executed]) -> None:
        """Add the *statements* of a request of *route*, by their texts."""
        for text, executed in statements.items():
            key = executed.dialect, hash(text)
            name = self._texts.get(key)
            if name is None:
                self._add_new(key, text, route, executed)
            else:
                self._add(route, name, executed)
                with suppress(KeyError):  # another thread has removed it
                    self._texts.move_to_end(key)
        if (now := time.monotonic()) > self._span_ends:
            self._span_ends = now + KEPT_S
            for cells in list(self._cells.values()):
                cells.begin_span()

    def _add_new(self, key: Key, text: str, route: Route, executed: Executed) -> None:
        with self._lock:
            if key in self._waiting:
                self._waiting[key][1].append((route, executed))
                return
            if len(self._waiting) < MAX_WAITING:
                self._waiting[key] = text[: MAX_READ + 1], [(route, executed)]
                if self._thread is None:
                    self._thread = threading.Thread(target=self._normalise_waiting, daemon=True)
                    self._thread.start()
                return
        self._add(route, OTHER, executed)

    def _normalise_waiting(self) -> None:
        """Normalise all texts that are waiting, slowly."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                key, (text, _) = next(iter(self._waiting.items()))
            began = time.thread_time()
            name = self._name(text, key[0])
            took_s = time.thread_time() - began
            with self._lock:
                _, waiting = self._waiting.pop(key)
                self._texts[key] = name
                if len(self._texts) > MAX_TEXTS:
                    self._texts.popitem(last=False)
            for route, executed in waiting:
                self._add(route, name, executed)
            time.sleep(max(PAUSE_S, took_s / MAX_SHARE))

    def _name(self, text: str, dialect: str) -> str:
        try:
            return self._normalise(text, dialect) or OTHER
        except Exception:  # a version of sqlparse that differs; the app goes on
            logger.warning("cannot normalise a statement", exc_info=True)
            return OTHER

    def _add(self, route: Route, statement: str, executed: Executed) -> None:
        cells = self._cells.get((*route, statement))
        if cells is None:
            labels = (*route, statement if len(self._cells) < MAX_STATEMENTS else OTHER)
            cells = self._cells.get(labels) or self._cells.setdefault(labels, Cells(self, labels))
        cells.add(executed)

    def _counted(self) -> Iterator[Labels]:
        """Yield what the slot's former worker has counted: its statements are part of the bound."""
        for text in FILES.keys("counter"):
            family, _, labels, _ = json.loads(text)
            if family == STATEMENT_CALLS:
                yield labels["method"], labels[self._group], labels["statement"]


class Cells:
    """What is counted of one statement of a route."""

    def __init__(self, metrics: StatementMetrics, labels: Labels) -> None:
        self._add_calls = metrics.calls.labels(*labels)._value.inc
        self._add_seconds = metrics.seconds.labels(*labels)._value.inc
        self._add_rows = metrics.rows.labels(*labels)._value.inc
        self._set_longest = metrics.longest.labels(*labels).set
        self._longest_s = self._longest_before_s = 0.0

    def add(self, executed: Executed) -> None:
        """Add a request's executions."""
        self._add_calls(executed.calls)
        self._add_seconds(executed.seconds)
        self._add_rows(executed.rows)
        if executed.longest_s > self._longest_s:
            self._longest_s = executed.longest_s
            if executed.longest_s > self._longest_before_s:
                self._set_longest(executed.longest_s)

    def begin_span(self) -> None:
        """Forget the longest execution of the span before the last one."""
        self._longest_before_s, self._longest_s = self._longest_s, 0.0
        self._set_longest(self._longest_before_s)
