"""The bench of starved services: are its verdicts right, and would it notice a wrong one?"""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.gunicorn import ROOT

from benchmarks.starved.cases import CASES, Case, Service, drawn, sync
from benchmarks.starved.judging import Ceiling, wrong_ceiling, wrong_name
from swarmscope.runs.document import Cause, CauseSide, ResourceName

SIDE = CauseSide(requests_per_s=None, response_ms=None, parts={})


def _case(*truth: str, word: str = "") -> Case:
    return Case("made up", frozenset(truth), Service({}, sync(1)), (1, 2), word=word)


def _cause(kind: str, *also: str) -> Cause:
    others = [ResourceName(service="shop", kind=other, detail="", words=other) for other in also]
    return Cause(
        kind=kind,
        detail="",
        service="shop",
        words=kind,
        sentence="Others have the CPU.",
        agrees=True,
        grew="queue",
        held=None,
        broke=SIDE,
        also=others,
    )


@pytest.mark.parametrize(
    ("truth", "cause", "wrong"),
    [
        (["pool"], _cause("pool"), ""),
        (["pool"], _cause("workers"), "says workers"),
        (["pool"], _cause("unknown"), "says unknown"),
        (["pool"], None, "says nothing"),
        ([], None, ""),
        ([], _cause("unknown"), ""),
        ([], _cause("lock"), "says lock"),
        (["pool", "lock"], _cause("unknown"), ""),
        (["pool", "lock"], _cause("lock", "pool"), ""),
        (["pool", "lock"], _cause("lock"), "says lock"),
    ],
)
def test_a_verdict_names_the_truth_or_is_wrong(truth, cause, wrong):
    assert wrong_name(_case(*truth), cause) == wrong


def test_a_sentence_says_what_the_name_leaves_open():
    assert wrong_name(_case("cpu", word="others"), _cause("cpu")) == ""
    assert wrong_name(_case("cpu", word="quota"), _cause("cpu")) == "does not say 'quota'"


@pytest.mark.parametrize(
    ("forecast", "wrong"),
    [
        (114.0, ""),
        (86.0, ""),
        (116.0, "ceiling of pool off by +16%"),
        (84.0, "ceiling of pool off by -16%"),
        (None, "no ceiling of pool"),
    ],
)
def test_a_ceiling_is_within_15_percent_or_wrong(forecast, wrong):
    assert wrong_ceiling(Ceiling("pool", forecast, 100.0)) == wrong


@pytest.mark.parametrize("name", CASES)
def test_a_seed_gives_the_same_parameters_again(name):
    assert drawn(name, 7, 1) == drawn(name, 7, 1)
    assert drawn(name, 7, 1) != drawn(name, 7, 2)
    assert drawn(name, 7, 1).name == name


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_every_case_gets_the_right_name_and_ceiling():
    command = [sys.executable, "-m", "benchmarks.starved"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    assert done.returncode == 0, done.stdout
