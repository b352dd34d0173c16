"""docs/ab.md shows what `swarmscope ab` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.command import swarmscope
from support.made_up_turns import Bench

from swarmscope.cli.ab import print_result


def test_the_page_shows_what_is_printed(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of turns that are made up, with the seed that is shown."""
    monkeypatch.setenv("COLUMNS", "80")
    page = (root / "docs/ab.md").read_text()
    shown = re.search(r"```console\n\$ swarmscope ab main feature\n(.*?)```", page, re.S)
    assert shown
    bench = Bench(slower=1.08, noise=0.03)
    trial = bench.trial(seed=7)
    trial.titles = ("main (9fceb02d0ae5)", "feature (4b825dc642cb)")
    print_result(trial, trial.run(bench.serve))

    head, rest = shown[1].split("\n…\n")
    assert head.splitlines()[3:] == bench.said[:2]
    printed = [bench.said[-1], *capsys.readouterr().out.splitlines()]
    assert rest.splitlines() == [line.rstrip() for line in printed]


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (("--time", "soon"), "'soon' is not a time such as 90s or 20m"),
        (("--precision", "little"), "'little' is not a percentage such as 2%"),
        (("--figure", "queue p95"), "'queue p95' is not one of"),
        (("--set", "app.name=x"), "app.name: of [app], command, gunicorn, python, wsgi can be set"),
        (("--set", "app.wsgi=shop.py"), "app.wsgi: names a file: name the module"),
    ],
)
def test_bad_options(option: tuple[str, str], complaint: str) -> None:
    """Are refused with what they should be."""
    done = swarmscope("ab", "main", *option)

    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())
