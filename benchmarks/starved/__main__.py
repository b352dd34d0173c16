"""Services that are short of one known thing: does a run say which, and what it caps?

    python -m benchmarks.starved                       # all cases, once
    python -m benchmarks.starved pool gil --rounds 3   # two of them, three times
    python -m benchmarks.starved --seed 7              # with the parameters of an earlier result
    python -m benchmarks.starved --seed 7 --keep DIR   # again after an interruption: the rest

Each case serves a small Flask service of its own and sends it two levels of load: one that it can
take, one that it cannot. Then it compares the run's document with what the service is short of. The
exit status is 1 if a verdict is wrong or a ceiling is not within 15 % of what was measured.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from benchmarks.starved import running
from benchmarks.starved.cases import CASES, Case, drawn
from benchmarks.starved.judging import HEAD, Ceiling, Judged, verdict, wrong_ceiling, wrong_name
from benchmarks.starved.running import Driven, Run, Stack
from benchmarks.starved.surroundings import Database, NotHere, database
from swarmscope.runs import document

LOCKS = ("lock", "database_lock")
SECONDS_CONFIRMED = 4  # of the next ceilings, at least, in each round
LEVEL_S = 15.0


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n", 1) if __doc__ else None)
@click.argument("names", nargs=-1, type=click.Choice(tuple(CASES)))
@click.option("--seed", type=int, help="Of all parameters; drawn unless given.")
@click.option("--rounds", default=1, show_default=True, help="Each with parameters of its own.")
@click.option("--level", "level_s", default=LEVEL_S, show_default=True, help="Seconds of a level.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all results to FILE.")
@click.option(
    "--keep",
    "directory",
    type=click.Path(path_type=Path),
    help="Keep documents and results here, and do not run a case again whose result is here.",
)
def main(
    names: tuple[str, ...],
    seed: int | None,
    rounds: int,
    level_s: float,
    file: Path | None,
    directory: Path | None,
) -> None:
    """Run cases, print the table, and exit with 1 if anything is wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by way of `finally`
    seed = random.randrange(1_000_000) if seed is None else seed
    print(f"seed {seed}, {rounds} rounds, {level_s:.0f} s a level\n\n{HEAD}", flush=True)
    with running.stack() as stack, database() as its_database, ThreadPoolExecutor(1) as readers:
        bench = Bench(stack, its_database, readers, level_s, directory and directory / str(seed))
        tried = [
            bench.tried(number, drawn(name, seed, number))
            for number in range(1, rounds + 1)
            for name in names or CASES
        ]
        results = [future.result() for future in tried]
    print("\n" + "\n".join(sentences(results)))
    if file:
        facts = {"seed": seed, "level_s": level_s, "cases": results}
        file.write_bytes(msgspec.json.format(msgspec.json.encode(facts)))
    problems = list(summary(results))
    print("\n" + "\n".join(problems or ["Everything is right."]))
    sys.exit(bool(problems))


@dataclass(frozen=True)
class Bench:
    """Runs cases one after the other; *readers* judge one while the next is started."""

    stack: Stack
    database: Database
    readers: Executor
    level_s: float
    directory: Path | None  # of what is kept

    def tried(self, number: int, case: Case) -> Future[Judged]:
        """Run a case; what fails is wrong with it, and does not end the others."""
        try:
            before = self._kept(number, case)
            if before:
                return self.readers.submit(shown, before)
            first = self._driven(case)
            second = self._driven(case, raised=True) if case.raised else None
        except NotHere as reason:
            return self.readers.submit(shown, Judged(number, case, "", "", skipped=str(reason)))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # a TimeoutError, too
            return self.readers.submit(shown, failed(number, case, error))
        return self.readers.submit(self._judged, number, case, first, second)

    def _driven(self, case: Case, raised: bool = False) -> Driven:
        """Run a case's service; *raised*: overload it with more of what it was short of."""
        more = case.raised if raised else None
        service, users = (more.service, (more.users,)) if more else (case.service, case.users)
        return running.drive(self.stack, case, service, users, self.level_s, self.database)

    def _judged(self, number: int, case: Case, first: Driven, second: Driven | None) -> Judged:
        try:
            found = running.read(self.stack, first)
            then = running.rate(self.stack, second) if second else None
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            return shown(failed(number, case, error))
        result = judged(number, case, found, then)
        if self.directory:
            path = self._path(number, case)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".document.json").write_bytes(document.encode(found.document))
            path.write_bytes(msgspec.json.encode(result))
        return shown(result)

    def _kept(self, number: int, case: Case) -> Judged | None:
        """Return what an earlier call found with the same parameters."""
        if not self.directory or not self._path(number, case).exists():
            return None
        found = msgspec.json.decode(self._path(number, case).read_bytes(), type=Judged)
        return found if found.case == case else None

    def _path(self, number: int, case: Case) -> Path:
        assert self.directory
        return self.directory / f"{number}-{case.name}.json"


def shown(result: Judged) -> Judged:
    """Print a result's row."""
    print(result.row(), flush=True)
    return result


def failed(number: int, case: Case, error: Exception) -> Judged:
    """Return the result of a case that could not be run."""
    return Judged(number, case, "", "", wrong=[f"failed: {str(error)[-200:]!r}"])


def judged(number: int, case: Case, found: Run, then: float | None) -> Judged:
    """Compare what a run says with the truth; *then* are the requests/s of the raised service."""
    cause = found.document.cause
    ceiling = _first(case, found) if case.law else None
    second = None
    if case.raised and then:
        second = Ceiling(case.raised.second[1], found.ceilings.get(case.raised.second), then)
    return Judged(
        number,
        case,
        verdict(cause),
        cause.sentence if cause else "",
        ceiling,
        second,
        found.others,
        {kind: found.use[kind] for kind in sorted(case.truth) if kind in found.use},
        wrong=[text for text in (wrong_name(case, cause), wrong_ceiling(ceiling)) if text],
    )


def _first(case: Case, found: Run) -> Ceiling:
    """Return the ceiling of what the service is short of."""
    (truth,) = case.truth
    forecast = found.ceilings.get(("shop", truth), found.ceilings.get(("", truth)))
    late = (one.ceiling_per_s for one in found.document.resources if one.kind == truth)
    if forecast is None and truth in LOCKS:
        return Ceiling(truth, next(late, None), found.requests_per_s, is_late=True)
    return Ceiling(truth, forecast, found.requests_per_s)


def sentences(results: Iterable[Judged]) -> Iterator[str]:
    """Yield what each verdict said."""
    for result in results:
        if result.sentence:
            use = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in result.full.items())
            yield f"{result.case.name}: {result.sentence}{f' [{use}]' if use else ''}"


def summary(results: list[Judged]) -> Iterator[str]:
    """Yield what is wrong."""
    for result in results:
        for text in result.wrong:
            yield f"round {result.round}, {result.case.name}: {text}"
    for number in sorted({result.round for result in results}):
        raised = [one.second for one in results if one.round == number and one.second]
        confirmed = sum(second.holds for second in raised)
        if confirmed < min(SECONDS_CONFIRMED, len(raised)):
            yield f"round {number}: only {confirmed} of {len(raised)} next ceilings confirmed"


if __name__ == "__main__":
    main()
