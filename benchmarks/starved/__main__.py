"""Services that are short of one known thing: does a run say which, and what it caps?

    python -m benchmarks.starved                       # all cases, once
    python -m benchmarks.starved pool gil --rounds 3   # two of them, three times
    python -m benchmarks.starved --seed 7              # with the parameters of an earlier result

Each case serves a small Flask service of its own and sends it two levels of load: one that it can
take, one that it cannot. Then it compares the run's document with what the service is short of. The
exit status is 1 if a verdict is wrong or a ceiling is not within 15 % of what was measured.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from benchmarks.starved import running
from benchmarks.starved.cases import CASES, Case, Raised, drawn
from benchmarks.starved.judging import HEAD, Ceiling, Judged, verdict, wrong_ceiling, wrong_name
from benchmarks.starved.running import Run, Stack
from benchmarks.starved.surroundings import Database, NotHere, database
from swarmscope.runs import document

LOCKS = ("lock", "database_lock")
SECONDS_CONFIRMED = 4  # of the next ceilings, at least, in each round
LEVEL_S = 22.0


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n", 1) if __doc__ else None)
@click.argument("names", nargs=-1, type=click.Choice(tuple(CASES)))
@click.option("--seed", type=int, help="Of all parameters; drawn unless given.")
@click.option("--rounds", default=1, show_default=True, help="Each with parameters of its own.")
@click.option("--level", "level_s", default=LEVEL_S, show_default=True, help="Seconds of a level.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write all results to FILE.")
@click.option("--documents", type=click.Path(path_type=Path), help="Keep the runs' documents here.")
def main(
    names: tuple[str, ...],
    seed: int | None,
    rounds: int,
    level_s: float,
    file: Path | None,
    documents: Path | None,
) -> None:
    """Run cases, print the table, and exit with 1 if anything is wrong."""
    seed = random.randrange(1_000_000) if seed is None else seed
    chosen = names or tuple(CASES)
    print(f"seed {seed}, {rounds} rounds, {level_s:.0f} s a level\n\n{HEAD}", flush=True)
    results = []
    with running.stack() as stack, database() as its_database:
        for number in range(1, rounds + 1):
            for case in (drawn(name, seed, number) for name in chosen):
                results.append(tried(stack, its_database, case, number, level_s, documents))
                print(results[-1].row(), flush=True)
    print("\n" + "\n".join(sentences(results)))
    if file:
        facts = {"seed": seed, "level_s": level_s, "cases": [one.facts() for one in results]}
        file.write_text(json.dumps(facts, indent=2, default=list) + "\n")
    problems = list(summary(results))
    print("\n" + "\n".join(problems or ["Everything is right."]))
    sys.exit(bool(problems))


def tried(
    stack: Stack,
    its_database: Database,
    case: Case,
    number: int,
    level_s: float,
    documents: Path | None,
) -> Judged:
    """Run a case; what fails is wrong with it, and does not end the others."""
    try:
        return judged(stack, its_database, case, number, level_s, documents)
    except NotHere as reason:
        return Judged(number, case, "", "", skipped=str(reason))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:  # a TimeoutError, too
        return Judged(number, case, "", "", wrong=[f"failed: {str(error)[-200:]!r}"])


def judged(
    stack: Stack,
    its_database: Database,
    case: Case,
    number: int,
    level_s: float,
    documents: Path | None,
) -> Judged:
    """Run a case and compare what its run says with the truth; raises `NotHere`."""
    found = running.run(stack, case, case.service, case.users, level_s, its_database)
    if documents:
        documents.mkdir(parents=True, exist_ok=True)
        path = documents / f"{case.name}-{number}.json"
        path.write_bytes(document.encode(found.document))
    cause = found.document.cause
    ceiling = _first(case, found) if case.law else None
    second = None
    if case.raised:
        second = _second(stack, its_database, case, case.raised, found, level_s)
    wrong = filter(None, (wrong_name(case, cause), wrong_ceiling(ceiling)))
    text = cause.sentence if cause else ""
    return Judged(
        number, case, verdict(cause), text, ceiling, second, found.others, wrong=list(wrong)
    )


def _first(case: Case, found: Run) -> Ceiling:
    """Return the ceiling of what the service is short of."""
    (truth,) = case.truth
    forecast = found.ceilings.get(("shop", truth), found.ceilings.get(("", truth)))
    late = (one.ceiling_per_s for one in found.document.resources if one.kind == truth)
    if forecast is None and truth in LOCKS:
        return Ceiling(truth, next(late, None), found.requests_per_s, is_late=True)
    return Ceiling(truth, forecast, found.requests_per_s)


def _second(
    stack: Stack,
    its_database: Database,
    case: Case,
    raised: Raised,
    first: Run,
    level_s: float,
) -> Ceiling:
    """Overload the service once it has more of what it was short of."""
    forecast = first.ceilings.get(raised.second)
    found = running.run(stack, case, raised.service, (raised.users,), level_s, its_database)
    return Ceiling(raised.second[1], forecast, found.requests_per_s)


def sentences(results: Iterable[Judged]) -> Iterator[str]:
    """Yield what each verdict said."""
    for result in results:
        if result.sentence:
            yield f"{result.case.name}: {result.sentence}"


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
