"""The Prometheus configuration and rules, judged by the real promtool."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from swarmscope.client.health import trust
from swarmscope.runs.schema.migrations import migrate
from swarmscope.server.metrics import BUCKETS
from swarmscope.stack.exports import RULES, exported
from swarmscope.stack.scrape_interval import ScrapeInterval

CASES = ("rules.test.yml", "rules.long.test.yml")
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")


@pytest.fixture(scope="module")
def rules(root):
    """Return all rules, recording and alerting."""
    groups = yaml.safe_load((root / "prometheus/rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def cases(root):
    """Return the text of the rule tests."""
    return "".join((root / "prometheus" / file).read_text() for file in CASES)


def promtool(directory: Path, *arguments: str) -> str:
    """Run promtool in *directory*; its output is the message when it fails."""
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_configuration_is_valid(root):
    """Prometheus takes the file as it is, with the rules it names."""
    output = promtool(root / "prometheus", "check", "config", "prometheus.yml")

    assert "1 rule files found" in output


@needs_promtool
def test_rules_pass_the_linter(root):
    promtool(root / "prometheus", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")


@needs_promtool
@pytest.mark.parametrize("file", CASES)
def test_rules_compute_what_their_tests_say(root, file):
    output = promtool(root / "prometheus", "test", "rules", file)

    assert "SUCCESS" in output


def test_every_rule_has_a_case(rules, cases):
    """The rule tests ask for every recording rule, or for one that is made from it."""
    expressions = [rule["expr"] for rule in rules]

    for name in (rule["record"] for rule in rules if "record" in rule):
        asked = name in cases or any(name in expression for expression in expressions)
        assert asked, name


def test_every_alert_fires_in_one_case_and_tells_people_what_to_do(rules, cases):
    """Each alert is expected by name in one case; another expects that none fires at all."""
    alerts = [rule for rule in rules if "alert" in rule]

    assert alerts
    assert "exp_samples: []" in cases
    for alert in alerts:
        assert f'alertname="{alert["alert"]}", severity=' in cases, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"].keys() == {"summary", "description"}


def test_every_alert_on_a_resource_has_its_paragraph(root):
    """docs/resources.md says of each what to change, and of no other."""
    groups = yaml.safe_load((root / "prometheus/rules.yml").read_text())["groups"]
    (rules,) = [group["rules"] for group in groups if group["name"] == "resource alerts"]
    page = (root / "docs/resources.md").read_text()

    assert re.findall(r"^\| `([A-Z]\w+)` \| .+ \| .+ \|$", page, re.M) == [
        r["alert"] for r in rules
    ]


def test_the_objective_is_the_same_at_both_ends(rules, empty_database):
    """Prometheus, the runs database and an edge of the server's histogram have one objective."""
    recorded = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    with psycopg.connect(empty_database, autocommit=True) as connection:
        migrate(connection)
        stored = dict(connection.execute("SELECT name, value FROM setting").fetchall())

    seconds = f"vector({stored['objective_ms'] / 1000})"
    assert recorded["swarmscope:objective_seconds"].endswith(f" or {seconds}")
    fail_ratio = stored["objective_fail_ratio"]
    assert recorded["swarmscope:objective_fail_ratio"].endswith(f" or vector({fail_ratio})")
    assert stored["objective_quantile"] == 0.95
    assert (
        "histogram_quantile(0.95" in recorded["job:flask_http_request_duration_seconds:p95_rate10s"]
    )
    assert stored["objective_ms"] / 1000 in BUCKETS


@pytest.mark.parametrize("name", ["swarm", "service"])
def test_dashboards_colour_the_alerts_of_a_case(root, cases, name):
    """The red areas are what a rule test says of alerts that ended with their Prometheus."""
    dashboard = json.loads((root / f"grafana/dashboards/{name}.json").read_text())

    expressions = [a["target"].get("expr", "") for a in dashboard["annotations"]["list"]]
    (alerts,) = [expression for expression in expressions if "ALERTS" in expression]
    assert f"- expr: {alerts}\n" in cases


def test_an_idle_service_is_not_shown_as_one_that_is_not_saturated(root, cases):
    """Each curve of the panel has the condition that a rule test is about."""
    dashboard = json.loads((root / "grafana/dashboards/swarm.json").read_text())
    (panel,) = [p for p in dashboard["panels"] if p["title"] == "Is it saturated?"]
    conditions = {target["expr"].partition(" and on ")[2] for target in panel["targets"]}

    (condition,) = conditions
    asked = condition.replace("$__range", "30s").replace("${service:regex}", "api|pricing")
    assert f" and on {asked}\n" in cases
    assert panel["fieldConfig"]["defaults"]["noValue"].startswith("Not measured")


def test_limits_of_the_generator_are_those_of_the_verdict(rules):
    """An alert and the closing verdict on a run never disagree about what saturated means."""
    limits = {rule["alert"]: rule["expr"].rpartition("> ")[2] for rule in rules if "alert" in rule}

    assert float(limits["GeneratorBusy"]) == trust.CPU_RATIO_LIMIT
    assert limits["GeneratorNotRun"].startswith(f"{trust.CPU_RATIO_LIMIT} - max by")
    assert float(limits["GeneratorLags"]) == trust.LOOP_LAG_LIMIT_SECONDS


def test_targets_of_compose_name_both_ends(root):
    """The target file of Compose has one group for each job."""
    groups = json.loads((root / "prometheus/targets.compose.json").read_text())

    assert {group["labels"]["job"]: len(group["targets"]) for group in groups} == {
        "api": 1,
        "locust": 1,
    }


PER_SCRAPE = 10  # requests of the service, times the interval: so many per second
SCRAPES = 30  # the last but one is missing
LABELS = 'job="api", instance="a", method="GET", url_rule="/tests", status="200"'
GAUGES = {  # beyond the limit of an alert
    'flask_http_requests_in_flight{job="api"}': 230,
    'gunicorn_backlog_connections{job="api"}': 3,
    'locust_master_listening{job="locust"}': 0,
    'locust_worker_cpu_ratio{job="locust", worker="w1"}': 0.95,
    'locust_worker_run_delay_ratio{job="locust", worker="w1"}': 0.5,
    'locust_event_loop_lag_seconds{job="locust", worker="w1"}': 0.021,
    'swarmscope_ship_lag_seconds{job="locust", worker="w1"}': 11,
    'gunicorn_concurrency_limit{job="api"}': 8,
    'flask_db_pool_connections{job="api", pool="main", state="in_use"}': 10,
    'flask_db_pool_connections{job="api", pool="main", state="waiting"}': 2,
    'flask_db_pool_connections{job="api", pool="main", state="limit"}': 10,
    'gunicorn_backlog_limit{job="api"}': 2048,
    'gunicorn_worker_open_files{job="api", slot="0"}': 1000,
    'gunicorn_open_files_limit{job="api"}': 1024,
}


def _scraped(seconds: int) -> dict[str, str]:
    """Return promtool's notation of a service that takes too long and fails too often."""
    late = 'flask_http_request_duration_seconds_bucket{%s, le="%s"}'
    increases = {
        late % (LABELS, "0.45"): 0,
        late % (LABELS, "1.0"): PER_SCRAPE,
        late % (LABELS, "+Inf"): PER_SCRAPE,
        f"flask_http_request_duration_seconds_count{{{LABELS}}}": PER_SCRAPE,
        f"flask_http_request_duration_seconds_count{{{LABELS.replace('200', '503')}}}": 1,
        f"flask_http_request_duration_seconds_sum{{{LABELS}}}": 9,
        'swarmscope_samples_dropped_total{job="locust", worker="w1"}': 1,
        'flask_http_request_held_seconds_total{job="api", url_rule="/tests"}': 8,
        'gunicorn_worker_run_delay_seconds_total{job="api", slot="0"}': 0.75,
        'machine_cpu_throttled_seconds_total{job="api"}': 0.5,
        'machine_listen_overflows_total{job="api"}': 1,
        'machine_oom_kills_total{job="api"}': 1,
        'machine_memory_pressure_seconds_total{job="api"}': 0.5,
    }
    queue = 'job="api", instance="a", url_rule="/tests"'
    for name in ('bucket{%s, le="+Inf"}', "count{%s}", "sum{%s}"):
        increases[f"flask_http_request_queue_seconds_{name % queue}"] = PER_SCRAPE
    series = {}
    for name, increase in increases.items():
        step, again = increase * seconds, increase * seconds * SCRAPES
        series[name] = f"0+{step}x{SCRAPES - 2} _ {again}+{step}x1"
    return series | {name: f"{value}x{SCRAPES + 1}" for name, value in GAUGES.items()}


def _case(rules: list[dict], interval: ScrapeInterval, at_s: int) -> list[dict]:
    """Return what must be there *at_s* seconds after the start: every record, every alert."""
    records = [rule["record"] for rule in rules if "record" in rule]
    alerts = [rule["alert"] for rule in rules if "alert" in rule]
    firing = 'ALERTS{alertstate="firing", source="swarmscope"}'
    there = [("__name__", '{__name__=~".+:.+"}', records), ("alertname", firing, alerts)]
    return [
        {
            "expr": f"group by ({label}) ({selector})",
            "eval_time": f"{at_s}s",
            "exp_samples": [
                {"labels": f'{{{label}="{name}"}}', "value": 1} for name in sorted(names)
            ],
        }
        for label, selector, names in there
    ]


@needs_promtool
@pytest.mark.parametrize("seconds", [1, 5, 15, 30])
def test_every_rule_has_a_value_however_often_prometheus_scrapes(tmp_path, seconds):
    """Also between scrapes, and where one was missed; rates are those of the service."""
    interval = ScrapeInterval(seconds)
    text = exported(interval, {})[RULES]
    (tmp_path / RULES).write_text(text)
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    before = seconds * (SCRAPES - 3)
    moments = [before, before + seconds // 2, *(seconds * SCRAPES + late for late in (-1, 0, 1))]
    rate = f"job:flask_http_request_duration_seconds_count:rate{interval.window_s}s"
    exact = {
        "expr": rate,
        "eval_time": f"{before}s",
        "exp_samples": [{"labels": f'{rate}{{job="api"}}', "value": PER_SCRAPE + 1}],
    }
    case = {
        "interval": f"{seconds}s",
        "input_series": [{"series": s, "values": v} for s, v in _scraped(seconds).items()],
        "promql_expr_test": [exact, *(c for at in moments for c in _case(rules, interval, at))],
    }
    tests = {"rule_files": [RULES], "evaluation_interval": f"{seconds}s", "tests": [case]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tests))

    promtool(tmp_path, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert "SUCCESS" in promtool(tmp_path, "test", "rules", "test.yml")
