"""A runner for a composite action of GitHub: its steps in order, as far as ours use the language.

`run:` steps are executed by bash as GitHub's runner does it; `uses:` steps are stood in for by
functions of the test. Expressions know contexts, ``==``, ``!=``, ``!``, ``&&``, ``||``, brackets
and the functions `always` and `startsWith`; anything else is an error.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
STEP_S = 300
TOKENS = re.compile(r"\s*('(?:[^']|'')*'|==|!=|&&|\|\||[!(),]|[\w.-]+)")

Standin = Callable[[Mapping[str, str]], dict[str, str]]  # from `with` to outputs


@dataclass
class Ran:
    """What came of a run of the action."""

    conclusion: str = "success"
    outputs: dict[str, str] = field(default_factory=dict)
    log: dict[str, str] = field(default_factory=dict)  # of each step that was run, by its name
    summary: str = ""
    steps: dict[str, dict[str, str]] = field(default_factory=dict)  # outputs, by ids


@dataclass
class Action:
    """An action's directory, and where and how it runs."""

    directory: Path
    workspace: Path
    temporary: Path
    environment: Mapping[str, str]
    github: Mapping[str, Any]
    standins: Mapping[str, Standin]  # by what `uses` names, without its version

    def run(self, known: Mapping[str, dict[str, str]], first: str = "", **inputs: str) -> Ran:
        """Run the steps from the *first* on with *inputs*, by their names with ``_`` for ``-``.

        Steps whose outputs are *known* by their ids have been run.
        """
        action = yaml.safe_load((self.directory / "action.yml").read_text())
        given = {name.replace("_", "-"): text for name, text in inputs.items()}
        assert given.keys() <= action["inputs"].keys()
        contexts: dict[str, Any] = {
            "github": self.github,
            "runner": {"temp": str(self.temporary)},
            "steps": {name: {"outputs": outputs} for name, outputs in known.items()},
            "success": True,
        }
        contexts["inputs"] = {
            name: given.get(name, filled(str(known.get("default", "")), contexts))
            for name, known in action["inputs"].items()
        }
        ran = Ran()
        steps = action["runs"]["steps"]
        begin = next(n for n, step in enumerate(steps) if step["name"] == first or not first)
        for number, step in enumerate(steps):
            if number >= begin and step.get("id") not in known:
                self._step(step, number, contexts, ran)
        ran.steps = {name: step["outputs"] for name, step in contexts["steps"].items()}
        ran.conclusion = "success" if contexts["success"] else "failure"
        ran.outputs = {n: filled(o["value"], contexts) for n, o in action["outputs"].items()}
        return ran

    def _step(self, step: Mapping[str, Any], number: int, contexts: dict[str, Any], ran: Ran):
        condition = str(step.get("if", "")).strip().removeprefix("${{").removesuffix("}}")
        runs = Expression(condition, contexts).truth() if condition else True
        if not runs or not (contexts["success"] or "always()" in condition):
            return
        if "uses" in step:
            name = step["uses"].partition("@")[0]
            outputs = self.standins[name](filled_all(step.get("with", {}), contexts))
            ran.log[step["name"]] = name
        else:
            outputs = self._bash(step, number, contexts, ran)
        if "id" in step:
            contexts["steps"][step["id"]] = {"outputs": outputs}

    def _bash(
        self, step: Mapping[str, Any], number: int, contexts: dict[str, Any], ran: Ran
    ) -> dict[str, str]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an expression in a script can be executed"
        files = {n: self.temporary / f"{n}.{number}" for n in ("script", "output", "summary")}
        files["script"].write_text(step["run"])
        files["output"].touch()
        files["summary"].touch()
        done = subprocess.run(
            [*BASH, str(files["script"])],
            cwd=self.workspace / filled(step.get("working-directory", "."), contexts),
            env={
                **self.environment,
                "GITHUB_ACTION_PATH": str(self.directory),
                "GITHUB_OUTPUT": str(files["output"]),
                "GITHUB_STEP_SUMMARY": str(files["summary"]),
                "RUNNER_TEMP": str(self.temporary),
                **filled_all(step.get("env", {}), contexts),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
        )
        ran.log[step["name"]] = done.stdout
        ran.summary += files["summary"].read_text()
        if done.returncode:
            contexts["success"] = False
        lines = files["output"].read_text().splitlines()
        return {name: text for name, _, text in (line.partition("=") for line in lines)}


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """Return *text* with the value of each ``${{ … }}``."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: Expression(found[1], contexts).text(), text)


def filled_all(texts: Mapping[str, Any], contexts: Mapping[str, Any]) -> dict[str, str]:
    return {name: filled(str(text), contexts) for name, text in texts.items()}


class Expression:
    """An expression of GitHub's language, evaluated by recursive descent."""

    def __init__(self, text: str, contexts: Mapping[str, Any]) -> None:
        self._tokens = TOKENS.findall(text)
        assert "".join(self._tokens) == re.sub(r"\s(?=([^']*'[^']*')*[^']*$)", "", text), text
        self._contexts = contexts

    def text(self) -> str:
        value = self._or()
        assert not self._tokens
        return {True: "true", False: "false"}.get(value, str(value))

    def truth(self) -> bool:
        value = self._or()
        assert not self._tokens
        return bool(value)

    def _or(self) -> Any:
        value = self._and()
        while self._tokens[:1] == ["||"]:
            self._tokens.pop(0)
            other = self._and()
            value = value or other
        return value

    def _and(self) -> Any:
        value = self._equal()
        while self._tokens[:1] == ["&&"]:
            self._tokens.pop(0)
            other = self._equal()
            value = value and other
        return value

    def _equal(self) -> Any:
        value = self._one()
        while self._tokens[:1] in (["=="], ["!="]):
            wanted = self._tokens.pop(0) == "=="
            value = (value == self._one()) is wanted
        return value

    def _one(self) -> Any:
        token = self._tokens.pop(0)
        if token == "!":
            return not self._one()
        if token == "(":
            value = self._or()
            assert self._tokens.pop(0) == ")"
            return value
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._tokens[:1] == ["("]:
            return self._call(token)
        value: Any = self._contexts
        for name in token.split("."):  # what is missing is empty, as GitHub has it
            value = value.get(name, "") if isinstance(value, Mapping) else ""
        return value

    def _call(self, name: str) -> Any:
        arguments = []
        assert self._tokens.pop(0) == "("
        while self._tokens[0] != ")":
            arguments.append(self._or())
            if self._tokens[0] == ",":
                self._tokens.pop(0)
        self._tokens.pop(0)
        return {"always": lambda: True, "startsWith": str.startswith}[name](*arguments)
