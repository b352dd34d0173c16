"""The GitHub Action in action.yml: its steps, run as GitHub's runner does it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from support.action_project import shop
from support.command import swarmscope
from support.composite_action import Action, Ran
from support.databases import fresh_runs_database, libpq_environment
from support.github_comments import Comments, comments
from support.native import Native, native
from support.stored_runs import START, Sample, store_run

USUAL_S, SLOW_S = 0.2, 1.0  # what a request takes: more than a busy machine adds


@pytest.fixture
def github() -> Iterator[Comments]:
    with comments() as known:
        yield known


@dataclass
class Repository:
    """A project with a workflow: its jobs share a cache and a pull request."""

    root: Path  # of the action
    directory: Path
    stack: Native
    github: Comments
    jobs: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    def stored(self, run: str, baseline: str) -> dict[str, Any]:
        """Return what `run` needs for the steps after a load test that gave *run*."""
        program = Path(sys.executable).with_name("swarmscope")
        directory = self.directory / f"install{self.jobs}"
        directory.mkdir()
        known = {
            "install": {"swarmscope": str(program), "directory": str(directory)},
            "run": {"run": run, "status": "0"},
        }
        return {"known": known, "first": "Write the report", "baseline": baseline}

    def run(
        self,
        event: str,
        known: Mapping[str, dict[str, str]] | None = None,
        first: str = "",
        **inputs: str,
    ) -> Ran:
        """Run the action in a job of its own, from the step *first* on."""
        self.jobs += 1
        temporary = self.directory / f"temporary{self.jobs}"
        temporary.mkdir()
        is_pull = event == "pull_request"
        context = {
            "base_ref": "main" if is_pull else "",
            "event_name": event,
            "ref_name": "7/merge" if is_pull else "main",
            "run_attempt": "1",
            "run_id": str(self.jobs),
            "token": self.github.token,
        }
        standins = {
            "actions/cache/restore": self._restore,
            "actions/cache/save": self._save,
            "actions/upload-artifact": lambda inputs: {"artifact-url": "https://ci.example/a"},
        }
        environment = {**self._environment(), **self.settings}
        workspace = self.stack.directory
        action = Action(self.root, workspace, temporary, environment, context, standins)
        return action.run(known or {}, first, **inputs)

    def _environment(self) -> dict[str, str]:
        event = self.directory / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 7}}))
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return {
            **self.stack.environment,
            "GITHUB_API_URL": self.github.url,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "shop/app",
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # the job's Python
        }

    def _restore(self, inputs: Mapping[str, str]) -> dict[str, str]:
        found = sorted((self.directory / "cache").glob(f"{inputs['restore-keys']}*"))
        if found:
            shutil.copytree(found[-1], inputs["path"])
        return {}

    def _save(self, inputs: Mapping[str, str]) -> dict[str, str]:
        shutil.copytree(inputs["path"], self.directory / "cache" / inputs["key"])
        return {}


def installed(ran: Ran, directory: Path) -> dict[str, dict[str, str]]:
    """Return what *ran* installed, for another job with a *directory* of its own."""
    directory.mkdir()
    return {"install": ran.steps["install"] | {"directory": str(directory)}}


@pytest.fixture(scope="module")
def action(root) -> dict[str, Any]:
    """What action.yml says."""
    return yaml.safe_load((root / "action.yml").read_text())


def test_no_input_becomes_part_of_a_script(action):
    """Scripts get them as variables; every input is used, and documented."""
    steps = action["runs"]["steps"]
    used = set(re.findall(r"inputs\.([\w-]+)", str(steps)))

    assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []
    assert used == action["inputs"].keys()
    assert all(step["shell"] == "bash" for step in steps if "run" in step)
    assert all(known["description"] for known in action["inputs"].values())


def test_actions_of_others_are_pinned(action):
    """By their commit: a tag may be moved."""
    others = [step["uses"] for step in action["runs"]["steps"] if "uses" in step]

    assert others
    assert all(re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40}", name) for name in others), others


def test_the_documentation_has_every_input_and_output(action, root):
    """In the tables of docs/ci.md, with their defaults."""
    rows = re.findall(r"^\| (`.*?`.*?) \| (.*)", (root / "docs/ci.md").read_text(), re.M)
    named = {name: rest for names, rest in rows for name in re.findall(r"`(.*?)`", names)}

    assert named.keys() == action["inputs"].keys() | action["outputs"].keys()
    for name, known in action["inputs"].items():
        if known["default"] and "{" not in known["default"]:
            assert f"`{known['default']}`" in named[name]


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="no actionlint")
def test_actionlint_has_no_complaint(action, root, tmp_path):
    """About the workflow in docs/ci.md, nor about one that uses everything the action offers."""
    workflow = re.search(r"```yaml\n(name: .*?)```", (root / "docs/ci.md").read_text(), re.S)[1]
    ours = re.sub(r"uses: .*swarmscope@.*", "uses: ./\n        id: ours", workflow)
    assert ours != workflow
    outputs = "".join(f"${{{{ steps.ours.outputs.{name} }}}}" for name in action["outputs"])
    every = yaml.safe_load(ours)
    steps = every["jobs"]["load-test"]["steps"]
    steps[-1]["with"] = {name: str(known["default"]) for name, known in action["inputs"].items()}
    steps.append({"run": 'echo "$OUTPUTS"', "env": {"OUTPUTS": outputs}})
    files = tmp_path / ".github/workflows"
    files.mkdir(parents=True)
    for name, text in {"a": workflow, "b": ours, "c": yaml.safe_dump(every)}.items():
        (files / f"{name}.yml").write_text(text.replace("\ntrue:", "\non:"))
    shutil.copy(root / "action.yml", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    done = subprocess.run(["actionlint"], cwd=tmp_path, capture_output=True, text=True)

    assert (done.stdout, done.returncode) == ("", 0)


@pytest.fixture
def post(root, github, tmp_path, monkeypatch) -> Callable[..., str]:
    """The script that posts, for pull request 7 of shop/app."""
    event, file = tmp_path / "event.json", tmp_path / "comment.md"
    spec = importlib.util.spec_from_file_location("comment", root / "deploy/github/comment.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    variables = {
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "shop/app",
        "GITHUB_TOKEN": github.token,
    }

    def posted(text: str, of: Any = 7, **more: str) -> str:
        event.write_text(json.dumps({"pull_request": {"number": of}} if of else {}))
        file.write_text(text)
        for name, value in (variables | more).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["comment.py", str(file)])
        return script.main()

    return posted


MARK = "<!-- swarmscope check: a -->"


def test_one_comment_is_kept_up_to_date(post, github):
    """It is found by its mark on any page; another title has a comment of its own."""
    for number in range(250):
        github.add(f"comment {number}\n{MARK}")

    assert post(f"{MARK}\nfirst é✅") == "Comment: https://github.example/c/251"
    assert post(f"{MARK}\nsecond") == "Comment: https://github.example/c/251"
    assert post("<!-- swarmscope check: b -->\nother").endswith("/252")
    assert [comment["body"] for comment in github.there[250:]] == [
        f"{MARK}\nsecond",
        "<!-- swarmscope check: b -->\nother",
    ]


def test_a_copied_mark_is_no_comment_of_ours(post, github):
    """Somebody from outside may have pasted it; a member's comment may be ours, by their token."""
    github.add(f"{MARK}\nmine", kind="User", association="CONTRIBUTOR")
    github.add(f"{MARK}\nours", kind="User", association="MEMBER")

    assert post(f"{MARK}\nnew").endswith("/2")
    assert [comment["body"] for comment in github.there] == [f"{MARK}\nmine", f"{MARK}\nnew"]


def test_what_cannot_be_posted_fails_no_job(post, github):
    """A fork's token, a push, a server that is down or in trouble: a line in the job's log each."""
    assert post("text", GITHUB_TOKEN="of a fork").startswith("::notice::No comment: the token may")
    assert post("text", of=None).startswith("::notice::This job is of no pull request")
    assert post("text", GITHUB_API_URL="http://127.0.0.1:9").startswith("::warning::No comment: ")
    github.refusal = 500
    assert post("text") == "::warning::No comment: GitHub answered 500"
    assert github.there == []


def test_a_stored_run_is_reported_checked_and_commented_on(root, tmp_path, github, cluster):
    """The steps that follow a load test, of a run like the baseline and of a slower one."""
    usual, slow = [[Sample(n / 30, ms + n % 7) for n in range(1200)] for ms in (20, 30)]
    with fresh_runs_database(cluster) as database:
        with psycopg.connect(database, autocommit=True) as connection:
            for hour, samples in enumerate((usual, usual, slow)):
                store_run(connection, samples, START + timedelta(hours=hour), lasted_s=40)
        base = str(tmp_path / "base.zip")
        exported = swarmscope("export", "2026-03-01T12", "--bundle", base, "--database", database)
        assert exported.exit_code == 0
        repository = Repository(root, tmp_path, native(tmp_path, tmp_path / "home"), github)
        repository.settings = libpq_environment(database)
        equal = repository.run("pull_request", **repository.stored("2026-03-01T13", base))
        slower = repository.run("pull_request", **repository.stored("2026-03-01T14", base))

    assert (equal.conclusion, equal.outputs["verdict"]) == ("success", "passed"), equal.log
    assert (slower.conclusion, slower.outputs["verdict"]) == ("failure", "failed"), slower.log
    (comment,) = github.there
    assert "❌ failed" in comment["body"]
    assert "Regressed by more than 10 %: response p50 (all endpoints)" in comment["body"]
    assert slower.summary == comment["body"] == Path(slower.outputs["markdown"]).read_text()
    assert Path(slower.outputs["bundle"]).stat().st_size > 1000
    assert Path(slower.outputs["report"]).read_text().startswith("<!doctype html>")


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_a_regression_fails_and_an_equal_run_does_not(root, tmp_path, github):
    """From an empty home: main leaves a baseline, a pull request is equal to it, then slower."""
    project = shop(tmp_path / "project")
    stack = native(project, project / ".swarmscope")
    repository = Repository(root, tmp_path, stack, github)
    limits = "--fail-ratio=0.01\n\n--p95=GET /items=4000\n"
    inputs = {"run_time": "40s", "baseline": "cache", "max_regression": "100%", "checks": limits}
    try:
        repository.settings = {"SHOP_DELAY_S": str(USUAL_S)}
        first = repository.run("push", **inputs)
        equal = repository.run("pull_request", installed(first, tmp_path / "second"), **inputs)
        text = github.there[0]["body"]
        repository.settings = {"SHOP_DELAY_S": str(SLOW_S)}
        slower = repository.run("pull_request", installed(first, tmp_path / "third"), **inputs)
    finally:
        stack.kill_leftovers()

    assert (first.conclusion, first.outputs["verdict"]) == ("success", "passed"), first.log
    assert "The cache has no baseline yet" in first.log["Check the run"]
    assert (equal.conclusion, equal.outputs["verdict"]) == ("success", "passed"), equal.log
    assert "No regression by more than 100 %" in text
    assert equal.summary == text
    assert (slower.conclusion, slower.outputs["verdict"]) == ("failure", "failed"), slower.log
    (comment,) = github.there
    assert "Load test: ❌ failed" in comment["body"]
    assert "**worse**" in comment["body"]
    assert "[report](<https://ci.example/a>)" in comment["body"]
    assert len({ran.outputs["run"] for ran in (first, equal, slower)}) == 3
    assert Path(slower.outputs["report"]).read_text().startswith("<!doctype html>")
    assert len(list((tmp_path / "cache").iterdir())) == 1, "pull requests leave no baseline"
    assert stack.leftovers() == []
