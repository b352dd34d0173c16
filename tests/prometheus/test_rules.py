"""The Prometheus configuration and rules, judged by the real promtool."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")


def promtool(directory: Path, *arguments: str) -> str:
    """Run promtool in *directory*; its output is the message when it fails."""
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_configuration_is_valid(root):
    """Prometheus takes the file as it is, with the rules it names."""
    output = promtool(root / "prometheus", "check", "config", "prometheus.yml")

    assert "1 rule files found" in output


def test_rules_pass_the_linter(root):
    promtool(root / "prometheus", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")


def test_rules_compute_what_their_tests_say(root):
    output = promtool(root / "prometheus", "test", "rules", "rules.test.yml")

    assert "SUCCESS" in output


def test_every_rule_has_a_case(root):
    """The rule tests ask for every recording rule, or for one that is made from it."""
    rules = [
        rule
        for group in yaml.safe_load((root / "prometheus/rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    cases = (root / "prometheus/rules.test.yml").read_text()
    expressions = [rule["expr"] for rule in rules]

    for rule in rules:
        name = rule["record"]
        assert name in cases or any(name in expression for expression in expressions), name


def test_targets_of_compose_name_both_ends(root):
    """The target file of Compose has one group a job, and those are the jobs that panels know."""
    groups = json.loads((root / "prometheus/targets.compose.json").read_text())

    assert {group["labels"]["job"]: len(group["targets"]) for group in groups} == {
        "api": 1,
        "locust": 1,
    }
