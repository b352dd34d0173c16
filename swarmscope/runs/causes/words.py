"""A cause in a sentence: what was full, with its figures, who holds it, and what comes next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from swarmscope.formatting import digits
from swarmscope.runs.document import ResourceFigures
from swarmscope.runs.resources.model import QUOTA

OTHERS = 0.1  # of a core: less is not worth mentioning
SOLE = 0.5  # of the places: most of its use is by others
ONE = 0.05  # means of numbers differ a little from whole ones
PARTS = {
    "queue": "the time in the queue",
    "service": "the service time",
    "cpu": "CPU time",
    "db": "the time in the database",
    "pool": "the wait for a connection of the pool",
    "http": "the time in HTTP calls",
    "cache": "the time in the cache",
    "other": "time that no component accounts for",
    "receiving": "the time to receive responses",
    "outside": "the time outside the service",
    "start_delay": "the wait to be sent",
}


@dataclass(frozen=True)
class Full:
    """A resource that was full, and what its sentence needs beside its figures."""

    figures: ResourceFigures
    wait_ms: float  # that requests waited for it, per request
    workers: float | None = None  # processes of its service
    service: str = ""  # its name, where it is not the only target
    statements: float | None = None  # per request of the route that holds it most
    holders: str = ""  # what requests did while they held a worker
    run_delay_ratio: float | None = None  # of the time in which workers wanted the CPU
    throttled_ratio: float | None = None
    before_ms: float | None = None  # time in the other service, or in the database, before
    after_ms: float | None = None
    frames: Sequence[str] = ()


def sentence(
    requests_per_s: float | None,
    full: Sequence[Full],
    following: ResourceFigures | None,
    service: str = "",
) -> str:
    """Return what was full at that load, and the next ceiling, of *service* if that has a name.

    ``At 131 requests/s the 10 database connections (pool of 5, 2 workers) were in use 97 % of the
    time and requests waited 380 ms for one; GET /orders holds one for 74 ms in 41 statements. Next:
    Python in the workers, at about 330 requests/s.``
    """
    clauses = [CLAUSES[one.figures.kind](one) for one in full]
    text = f"{_at(requests_per_s)}{'; at the same time '.join(clauses)}."
    if frames := [frame for one in full for frame in one.frames]:
        text += f" {'; '.join(frames)}."
    if following is None or following.ceiling_per_s is None:
        return text
    at = f"{_rounded(following.ceiling_per_s)} requests/s"
    return f"{text} Next: {_named(following)}{f' of {service}' if service else ''}, at about {at}."


def unknown(
    requests_per_s: float | None, grew: tuple[str, float | None, float] | None, busiest: str
) -> str:
    """Return that no cause is known: which part *grew* most, from and to which mean in ms.

    *busiest* says what was used most.
    """
    text = "no measured resource explains it"
    if busiest:
        text += f" ({busiest})"
    if grew is None:
        return f"The cause is unknown: {text}."
    part, before, after = grew
    what = f"{PARTS[part]} was {milliseconds(after)}"
    if before is not None:
        change = f"from {milliseconds(before)} to {milliseconds(after)}"
        what = f"{PARTS[part]} rose {change}, more than any other part"
    return f"{_at(requests_per_s)}{what}, and {text}."


def slow_at_any_load(
    requests_per_s: float | None, response_ms: float, part: tuple[str, float], busiest: str
) -> str:
    """Return that requests took no longer than where the objective held, and where most of it is.

    *part* is the largest, with its mean in ms.
    """
    text = f" ({busiest})" if busiest else ""
    name, part_ms = part
    return (
        f"{_at(requests_per_s)}requests took {milliseconds(response_ms)}, hardly longer than at the"
        f" load that held: {PARTS[name]} is {milliseconds(part_ms)} of it, and no measured resource"
        f" was full{text}."
    )


def busiest(figures: Sequence[ResourceFigures]) -> str:
    """Return the resource that was used most in words, such as ``workers 45 % in use``."""
    known = [one for one in figures if one.utilisation is not None and one.demand_ms is not None]
    if not known:
        return ""
    most = max(known, key=lambda one: (round(one.utilisation or 0.0, 2), one.others or 0.0))
    text = f"the busiest: {_named(most)}, {_percent(most.utilisation)} in use"
    if most.places and (most.others or 0.0) >= SOLE * most.places:
        text += f", {_number(most.others)} of {_number(most.places)} by other processes"
    return text


def _named(figures: ResourceFigures) -> str:
    return figures.words


def _workers(full: Full) -> str:
    figures = full.figures
    several = full.workers is not None and (figures.places or 0) > full.workers
    what = _all(figures.places, "thread" if several else "worker")
    if several:
        what += f" of {_all(full.workers, 'worker')}"
    return (
        f"{_of(what, full)} {_was(figures.places)} busy {_percent(figures.utilisation)} of the time"
        f" and requests waited {milliseconds(full.wait_ms)} for one"
        f"{_holds(full, 'one', full.holders)}"
    )


def _python(full: Full) -> str:
    figures = full.figures
    each = "" if (figures.places or 0) <= 1 else " each"
    return (
        f"Python in {_of(_all(figures.places, 'worker'), full)} used"
        f" {_percent(figures.utilisation)} of a core{each}, all that a process can use, and"
        f" requests waited {milliseconds(full.wait_ms)} for it{_holds(full, 'it')}"
    )


def _cpu(full: Full) -> str:
    figures = full.figures
    if figures.detail == QUOTA:
        cores = f"{_number(figures.places)} {_plural('core', figures.places)}"
        text = f"{_of(f'the CPU quota of {cores}', full)} was {_percent(figures.utilisation)} used"
        if full.throttled_ratio is not None:
            text += f" and the service was throttled {_percent(full.throttled_ratio)} of the time"
        return text + _holds(full, "it", verb="uses")
    machine = _of("the machine", full)
    text = f"{_all(figures.places, 'core')} of {machine} {_was(figures.places)}"
    text += f" {_percent(figures.utilisation)} busy"
    if (figures.others or 0.0) >= OTHERS:
        text += f" and other processes used {_number(figures.others)} of them"
    if full.run_delay_ratio is not None:
        text += (
            f"; workers were ready to run and got no CPU {_percent(full.run_delay_ratio)}"
            " of the time"
        )
    return text + _holds(full, "CPU", verb="uses")


def _pool(full: Full) -> str:
    figures = full.figures
    pools = ""
    if full.workers and figures.places and full.workers > 1:
        size = _number(figures.places / full.workers)
        pools = f" (pool of {size}, {_number(full.workers)} workers)"
    calls = ""
    if full.statements:
        calls = f" in {_count(full.statements)} {_plural('statement', full.statements)}"
    what = f"{_all(figures.places, 'database connection')}{pools}"
    return (
        f"{_of(what, full)} {_was(figures.places)} in use {_percent(figures.utilisation)} of the"
        f" time and requests waited {milliseconds(full.wait_ms)} for one"
        f"{_holds(full, 'one', calls)}"
    )


def _database(full: Full) -> str:
    figures = full.figures
    text = f"{_number(figures.used)} sessions were running"
    if figures.places:
        cores = f"{_number(figures.places)} {_plural('core', figures.places)}"
        text = f"it used {_number(figures.used)} of {cores}"
    if figures.waiting:
        text += f" while {_count(figures.waiting)} sessions at once waited for a core or its disk"
    return (
        f"the database{_name(figures)} was full: {text}, and a request spent {_change(full)} in it"
    )


def _database_lock(full: Full) -> str:
    figures = full.figures
    return (
        f"{_count(figures.waiting or 0.0)} sessions at once waited for row locks in the"
        f" database{_name(figures)}, and a request spent {_change(full)} in it"
    )


def _connections(full: Full) -> str:
    figures = full.figures
    return (
        f"{_number(figures.used)} of the {_number(figures.places)} connections that the"
        f" database{_name(figures)} accepts were in use"
    )


def _service(full: Full) -> str:
    return f"calls to {full.figures.detail} took {_change(full)}"


def _lock(full: Full) -> str:
    return (
        f"requests waited {milliseconds(full.wait_ms)} in Python for a lock, or for something"
        " else that lets one thread at a time pass: neither Python nor the CPU was full"
    )


def _generator(full: Full) -> str:
    figures = full.figures
    its = (
        "its process" if (figures.places or 0) <= 1 else f"its {_number(figures.places)} processes"
    )
    text = (
        f"the load generator was full, not the service: {its} used {_percent(figures.utilisation)}"
        f" of a core{'' if (figures.places or 0) <= 1 else ' each'},"
    )
    if figures.places and (delayed := (figures.waiting or 0.0) / figures.places) >= 0.1:
        text += f" was ready to run and got no CPU {_percent(delayed)} of the time,"
    return f"{text} and responses waited {milliseconds(full.wait_ms)} for it"


def _generator_cpu(full: Full) -> str:
    figures = full.figures
    return (
        f"{_all(figures.places, 'core')} of the load generator's machine {_was(figures.places)}"
        f" {_percent(figures.utilisation)} busy, and responses waited"
        f" {milliseconds(full.wait_ms)} for it"
    )


def _any(full: Full) -> str:
    """Return the words of a resource that has no more to say than its use."""
    figures = full.figures
    return f"{_named(figures)} {_percent(figures.utilisation)} in use"


CLAUSES: Mapping[str, Callable[[Full], str]] = {
    "workers": _workers,
    "python": _python,
    "cpu": _cpu,
    "memory": _any,
    "pool": _pool,
    "database": _database,
    "database_lock": _database_lock,
    "database_connections": _connections,
    "service": _service,
    "lock": _lock,
    "backlog": _any,
    "files": _any,
    "ports": _any,
    "generator": _generator,
    "generator_cpu": _generator_cpu,
    "setting": _any,
}


def _at(requests_per_s: float | None) -> str:
    return "" if requests_per_s is None else f"At {_rate(requests_per_s)} requests/s "


def _of(what: str, full: Full) -> str:
    """Return *what* with its service, where that is not the only one that the swarm drives."""
    return f"{what} of {full.service}" if full.service else what


def _all(number: float | None, word: str) -> str:
    """Return ``the 3 workers`` or ``the only worker``."""
    if number is not None and abs(number - 1) < ONE:
        return f"the only {word}"
    return f"the {_number(number)} {_plural(word, number)}"


def _was(number: float | None) -> str:
    return "was" if number is not None and abs(number - 1) < ONE else "were"


def _holds(full: Full, one: str, how: str = "", verb: str = "holds") -> str:
    """Return how long the route that holds most needs a place."""
    route = next(iter(full.figures.routes), None)
    if route is not None:
        return f"; {route.route} {verb} {one} for {milliseconds(route.held_ms)}{how}"
    if full.figures.demand_ms is None:
        return ""
    return f"; a request {verb} {one} for {milliseconds(full.figures.demand_ms)}{how}"


def _change(full: Full) -> str:
    after = milliseconds(full.after_ms or full.wait_ms)
    return after if full.before_ms is None else f"{after} ({milliseconds(full.before_ms)} before)"


def _name(figures: ResourceFigures) -> str:
    return f" {figures.detail}" if figures.detail else ""


def _plural(word: str, number: float | None) -> str:
    if number is not None and abs(number - 1) < ONE:
        return word
    return f"{word}es" if word.endswith("s") else f"{word}s"


def _number(value: float | None) -> str:
    """Return a number with one decimal where it has one."""
    return "some" if value is None else f"{round(value, 1):,g}"


def _count(value: float) -> str:
    return f"{round(value) if value >= 10 else round(value, 1):,g}"


def _percent(ratio: float | None) -> str:
    return "–" if ratio is None else f"{100 * min(ratio, 1.0):.0f} %"


def milliseconds(value: float) -> str:
    """Return a time with its unit, for sentences."""
    return (
        f"{digits(value) if value >= 100 else f'{value:.0f}' if value >= 10 else f'{value:.1f}'} ms"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _rounded(value: float) -> str:
    """Return two significant digits: more would promise too much."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"
