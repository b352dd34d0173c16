"""Does each extra install alone? From the wheel, in environments that are empty but for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.environments import build_wheel, foreign_programs

from swarmscope.cli import EXTRAS, VERBS

READING = {verb for verb, (module, _) in VERBS.items() if EXTRAS.get(module, "runs") == "runs"}
VERBS_OF = {  # the verbs that work
    "server": set(),
    "runs": READING,
    "client": {*READING, "locust"},
    "image": {*READING, "locust"},
    "stack": set(VERBS),
    "demo": set(VERBS),
}
IMPORTS_OF = {
    "server": "swarmscope.server, swarmscope.server.gunicorn",
    "runs": "swarmscope.runs.document, swarmscope.shipper.process",
    "client": "swarmscope.client, swarmscope.client.plugin, swarmscope.shipper.process",
    "image": "swarmscope.client, swarmscope.server.gunicorn, swarmscope.container.healthcheck",
    "stack": "swarmscope.client, swarmscope.server, swarmscope.stack.up",
    "demo": "swarmscope.client, swarmscope.stack.up, gunicorn.app.wsgiapp, sqlalchemy.orm",
}
MISSING = " is missing; install it with: "
EVERY_VERB = f"""
import json
from click.testing import CliRunner
from swarmscope.cli import VERBS, main

def answer(*arguments):
    done = CliRunner().invoke(main, arguments)
    return {{"status": done.exit_code, "stdout": done.stdout, "stderr": done.stderr}}

helped = {{verb: answer(verb, "--help") for verb in VERBS}}
missing = [verb for verb in VERBS if {MISSING!r} in " ".join(helped[verb]["stdout"].split())]
print(json.dumps([helped, {{verb: answer(verb, "--whatever") for verb in missing}}]))
"""  # in one process, whose start takes longer than an answer; a `locust` that works replaces it


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return our wheel."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


def run(programs: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment where there is no checkout."""
    command = [str(programs / program), *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)


def offered(programs: Path) -> set[str]:
    """Return the verbs whose extra is there; assert that all others say which one they need."""
    listed = run(programs, "swarmscope", "--help")
    assert (listed.returncode, listed.stderr) == (0, "")
    done = run(programs, "python", "-c", EVERY_VERB)
    assert (done.returncode, done.stderr) == (0, "")
    helped, refusals = json.loads(done.stdout)
    for verb, answer in helped.items():
        assert (answer["status"], answer["stderr"]) == (0, ""), verb
    for verb, refused in refusals.items():
        install = f"pip install 'swarmscope[{EXTRAS.get(VERBS[verb][0], 'runs')}]'"
        assert refused["status"] == 1, verb
        assert refused["stderr"].startswith("Error: "), verb
        assert refused["stderr"].endswith(f"{MISSING}{install}\n"), verb
        assert refused["stderr"].count("\n") == 1, verb
    return set(VERBS) - set(refusals)


def test_without_an_extra_every_verb_says_which_it_needs(tmp_path: Path, wheel: Path) -> None:
    """The command itself needs none: `pip install swarmscope` leads to the right one."""
    programs = foreign_programs(tmp_path / "environment", "3.11", str(wheel))
    assert offered(programs) == set()


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", VERBS_OF)
def test_an_extra_alone_is_enough(tmp_path: Path, wheel: Path, extra: str) -> None:
    """It imports what it promises, its verbs work, and the others name what they need."""
    programs = foreign_programs(tmp_path / "environment", "3.13", f"{wheel}[{extra}]")

    imported = run(programs, "python", "-c", f"import {IMPORTS_OF[extra]}")
    assert imported.returncode == 0, imported.stderr
    assert offered(programs) == VERBS_OF[extra]
