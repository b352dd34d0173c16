"""Which users can take part in a level of load, and which of them are at work."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from locust import User
from locust.env import Environment
from locust.runners import Runner
from locust.user.task import DefaultTaskSet, is_markov_taskset

_AT_WORK = "swarmscope_at_work"


@dataclass(frozen=True)
class Population:
    """The user classes that a swarm can be made of."""

    classes: tuple[type[User], ...]
    idle: tuple[str, ...]  # classes whose tasks the tags all took away
    max_users: int | None  # as fixed_count allows; None: any number

    @classmethod
    def of(cls, environment: Environment) -> Population:
        """Return the classes of *environment* that have a task to do."""
        environment._filter_tasks_by_tags()  # once; Locust does it when a run starts
        found = environment.user_classes
        able = [c for c in found if not _is_tagged(environment) or _has_tasks(c)]
        fixed = [c.fixed_count for c in able]
        return cls(
            tuple(able),
            tuple(sorted(c.__name__ for c in found if c not in able)),
            sum(fixed) if able and all(fixed) else None,
        )

    def note(self) -> str:
        """Return a sentence about the users left out; '' if none are."""
        if not self.idle:
            return ""
        names = ", ".join(self.idle)
        return f"No users of {names}: --tags or --exclude-tags leave them without a task."


def _is_tagged(environment: Environment) -> bool:
    options = vars(environment.parsed_options) if environment.parsed_options else {}
    given = (environment.tags, environment.exclude_tags)
    return bool(any(given) or options.get("tags") or options.get("exclude_tags"))


def _has_tasks(user_class: type[User]) -> bool:
    others: Any = user_class  # classes that Locust knows to do without tasks
    return bool(
        user_class.tasks or is_markov_taskset(others) or getattr(others, "functions", False)
    )


def note_users_at_work() -> None:
    """Mark users of this process when their ``on_start`` is over; harmless if repeated.

    Locust counts a user as running from its creation, and fires no event when it begins to work.
    """
    tasks: Any = DefaultTaskSet
    stock = tasks.run
    if hasattr(stock, "__wrapped__"):
        return

    @functools.wraps(stock)
    def run(self: Any) -> None:
        setattr(self, _AT_WORK, True)
        stock(self)

    tasks.run = run


def starting(runner: Runner) -> int:
    """Return how many users of this process are still in their ``on_start``."""
    count = 0
    for greenlet in runner.user_greenlets:
        user = greenlet.args[0] if greenlet.args else None  # a dead greenlet has lost them
        tasks = getattr(user, "_taskset_instance", None)
        count += tasks is not None and not getattr(tasks, _AT_WORK, False)
    return count
