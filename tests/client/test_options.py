"""The table of our options: what Locust's parser makes of it, and what the docs say of it."""

from __future__ import annotations

import re
from pathlib import Path

from swarmscope.client.options import OPTIONS, Option
from swarmscope.runs.thresholds import METRICS

OF_THE_LAUNCHER = {"LOCUST_METRICS_PORT"}  # `swarmscope up` has a default of its own


def as_text(option: Option) -> str:
    """Return the default as people write it; "" for one that leaves the option unset."""
    return str(option.default or "").removesuffix(".0").removesuffix("[]")


def row(option: Option) -> str:
    """Return the line of docs/options.md about *option*."""
    default = f"`{text}`" if (text := as_text(option)) else ""
    where = "yes" if option.in_ui else ""
    return f"| `{option.name}` | `{option.variable}` | {default} | {where} | {option.help} |"


def test_the_page_of_options_is_the_table(root: Path):
    """Every option in its group, word for word; none is left out."""
    page = (root / "docs/options.md").read_text()
    shown = {}
    for section in page.split("\n## ")[1:]:
        shown[section.partition("\n")[0]] = re.findall(r"^\| `-.*$", section, re.MULTILINE)
    groups = dict.fromkeys(option.group for option in OPTIONS)

    assert list(shown) == list(groups)
    for group in groups:
        assert shown[group] == [row(option) for option in OPTIONS if option.group == group]


def test_settings_that_are_options_have_their_defaults(root: Path):
    """README and .env.example say of a variable what the option's table says."""
    defaults = {option.variable: as_text(option) for option in OPTIONS}
    texts = dict(
        re.findall(r"^#([A-Z_]+)=(.*)$", (root / ".env.example").read_text(), re.MULTILINE)
    )
    named = texts.keys() & defaults.keys() - OF_THE_LAUNCHER

    assert {"LOCUST_DRAIN_TIME", "LOCUST_JOURNAL_LIMIT", "LOCUST_KEEP_JOURNALS"} <= named
    for name in named:
        assert texts[name] == defaults[name], name


def test_every_option_that_the_docs_name_is_there(root: Path):
    """No page speaks of an option that was renamed."""
    names = {option.name for option in OPTIONS}
    stock = {"--check-rps", "--check-fail-ratio", "--check-avg-response-time"}
    of_check = {f"--{metric}" for metric in METRICS}
    prefixes = "check|capacity|slo|shape|journal|metrics|swarm|drain"
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        found = set(re.findall(rf"--(?:{prefixes})-[a-z0-9-]*[a-z0-9]", page.read_text()))

        assert found <= names | stock | of_check, page.name


def test_an_option_comes_from_the_environment_too(parser, monkeypatch):
    """By the variable that the table says."""
    monkeypatch.setenv("LOCUST_CAPACITY_WARM_UP", "7")
    monkeypatch.setenv("PROMETHEUS_URL", "http://prometheus")

    found = parser.parse_args([])
    assert (found.capacity_warm_up, found.prometheus_url) == (7, "http://prometheus")


def test_the_ui_has_fields_for_what_may_change_between_runs(parser):
    """A form changes the load and the objective; no check, no file, no password."""
    shown = {option.name[2:].replace("-", "_") for option in OPTIONS if option.in_ui}

    assert {"shape_users", "slo_p95", "capacity_precision"} <= shown
    assert parser.args_included_in_web_ui.keys() & vars(parser.parse_args([])).keys() == shown
