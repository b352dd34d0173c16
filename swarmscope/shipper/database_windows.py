"""From samples of the app's database to rows of ten seconds: statements, and waits for locks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from swarmscope.runs.resources.database import (
    MAX_LOCK_WAITS,
    MAX_STATEMENTS,
    DatabaseStatement,
    LockWait,
)
from swarmscope.shipper.app_database import AppDatabase, Blocked, Totals
from swarmscope.sql_text import POSTGRESQL, Normaliser

MAX_TEXTS = 1_000


class StatementTexts:
    """Removes literals from statements; without sqlparse every text is empty."""

    def __init__(self) -> None:
        try:
            self._normalise: Normaliser | None = Normaliser()
        except ImportError:
            self._normalise = None
        self._by_number: dict[int, str] = {}

    def without_literals(self, text: str) -> str:
        """Return *text* without its literals."""
        return self._normalise(text, POSTGRESQL) if self._normalise else ""

    def of(self, numbers: Iterable[int], app: AppDatabase) -> Mapping[int, str]:
        """Return the texts of statements of *app* by their numbers, without ours."""
        if len(self._by_number) > MAX_TEXTS:
            self._by_number.clear()
        if new := set(numbers) - self._by_number.keys():
            for number, text in app.texts(new).items():
                self._by_number[number] = self.without_literals(text)
        return self._by_number


class LockWindow:
    """Who waited for which lock in the samples since `rows` was last called."""

    def __init__(self, texts: StatementTexts) -> None:
        self._texts = texts
        self._waiting: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
        self._samples = 0

    def add(self, blocked: Iterable[Blocked]) -> None:
        """Take in what one sample found."""
        self._samples += 1
        now: dict[tuple[str, str, str, str], int] = defaultdict(int)
        for one in blocked:
            waiting, blocking = map(self._texts.without_literals, (one.query, one.blocking_query))
            now[one.relation, waiting, blocking, one.blocking_state] += one.waiting
        for key, number in now.items():
            self._waiting[key].append(number)

    def rows(self, time: datetime) -> list[LockWait]:
        """Return what was waited for most until *time*, and start over."""
        found = [
            LockWait(time, *key, sum(waiting) / self._samples, max(waiting))
            for key, waiting in self._waiting.items()
        ]
        self._waiting.clear()
        self._samples = 0
        return sorted(found, key=lambda one: -one.waiting)[:MAX_LOCK_WAITS]


class StatementWindow:
    """What statements took since `rows` was last called."""

    def __init__(self, texts: StatementTexts, app: AppDatabase) -> None:
        self._texts, self._app = texts, app
        self._before = app.statements()

    def rows(self, time: datetime) -> list[DatabaseStatement]:
        """Return which statements took most time until *time*, and start over."""
        now = self._app.statements()
        taken = {number: _since(self._before.get(number), new) for number, new in now.items()}
        self._before = now
        called = [number for number, one in taken.items() if one.calls > 0]
        most = sorted(called, key=lambda number: -taken[number].seconds)[: 2 * MAX_STATEMENTS]
        texts = self._texts.of(most, self._app) if most else {}
        rows: dict[str, DatabaseStatement] = {}
        for number in most:
            if number in texts:
                text, one = texts[number], taken[number]
                sums = rows.get(text, DatabaseStatement(time, text, 0, 0, 0.0))
                rows[text] = DatabaseStatement(
                    time,
                    text,
                    sums.calls + one.calls,
                    sums.rows + one.rows,
                    sums.seconds + one.seconds,
                )
        return sorted(rows.values(), key=lambda row: -row.seconds)[:MAX_STATEMENTS]


def _since(before: Totals | None, now: Totals) -> Totals:
    """Return what came since *before*; all of *now* if the server has forgotten it meanwhile."""
    if before is None or now.calls < before.calls:
        return now
    return Totals(
        now.calls - before.calls, now.rows - before.rows, max(0.0, now.seconds - before.seconds)
    )
