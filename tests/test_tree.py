"""The tests of a module are found by its name; all others are listed here, with what they ask."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGES = ("api", *(path.name for path in (ROOT / "swarmscope").iterdir() if path.is_dir()))
QUESTIONS = {  # of more than one module
    "api/add": "POST /tests",
    "api/gunicorn": "its conf file, in real workers",
    "api/list": "GET /tests",
    "cli/checks_documentation": "does docs/checks.md show what the commands print?",
    "cli/resources_documentation": "does docs/resources.md show what the commands print?",
    "cli/shared": "how does every verb find the database, and fail?",
    "client/any_scenario": "is every request of a scenario recorded, whatever it does?",
    "client/capacity/cases": "is the answer right for scenarios as people write them?",
    "client/capacity/proofs": "does it find what theory says?",
    "client/capacity/runs": "does it measure real services?",
    "client/foreign_scenarios": "are locustfiles of all kinds recorded, unchanged?",
    "client/http/locusts_own": "does our user pass Locust's own tests of its FastHttpUser?",
    "client/imports": "what does a Locust process load?",
    "client/public_names": "what may a locustfile import?",
    "client/receiving": "is the time to receive a body told apart?",
    "client/recording/odd_samples": "are odd samples counted as Locust counts them?",
    "client/redirects": "what is recorded of each hop of a redirect?",
    "client/same_counts": "is what Locust counts what is stored, shown and judged?",
    "client/stepping_clock": "what if the clock steps?",
    "client/stock_defects": "which defects of the stock listener are gone?",
    "onboarding/kinds_of_apps": "does each kind of Flask app get a page and a verdict, unchanged?",
    "runs/components": "are the zeros of requests without a part counted?",
    "runs/drill_down": "do the views agree with the requests themselves?",
    "runs/judged_span": "is the same span judged everywhere?",
    "runs/objective": "did a run meet its objective, and when is that left open?",
    "runs/page/charts": "how are charts read and zoomed?",
    "runs/page/code": "which code takes the time?",
    "runs/page/curves": "do charts draw the document's values?",
    "runs/page/figures": "what does a page say in words and numbers?",
    "runs/page/file": "is a report one file, small and safe?",
    "runs/page/live": "does a live page keep what its reader does?",
    "runs/page/media": "is a page readable in the dark, on paper, on a phone?",
    "runs/page/resources": "is it shown what is full, and what was the cause?",
    "runs/page/services": "are several services told apart on a page?",
    "runs/page/statements": "is what a request repeats shown and said?",
    "runs/points": "do curves agree with the requests themselves?",
    "runs/rates": "is a rate the same wherever it is shown?",
    "runs/schema/compaction": "does joining windows keep every figure?",
    "runs/schema/timescale/attacks": "what do extensions let the two roles do?",
    "runs/schema/timescale/compression": "is what its job compresses read and pruned as before?",
    "runs/schema/timescale/hypertable": "are figures and pruning those of plain PostgreSQL?",
    "runs/compare/gate": "what may a gate pass, and what does an interval without an end say?",
    "runs/compare/unlike_runs": "are runs that were made differently compared without a word?",
    "runs/trend/other_implementations": "do others find the same changes, and in recorded runs?",
    "runs/document_components": "where did the service time go, and does a live run's end agree?",
    "runs/summary": "do percentiles agree with the requests themselves?",
    "runs/resources/conservation": "do counters say what stopwatches counted?",
    "server/components/known_times": "is each component found where a stopwatch says it is?",
    "server/components/known_times_of_drivers": "the same, of drivers of real servers",
    "server/components/library_versions": "which versions of libraries are measured?",
    "server/components/opentelemetry": "do OpenTelemetry and components leave each other right?",
    "server/decomposition": "is a delay found in the part where it was made?",
    "server/documentation": "is every metric documented?",
    "server/exporter_examples": "do the exporter's own examples work?",
    "server/frameworks": "do Flask-RESTful, RESTX, Sock, SocketIO and asgiref work?",
    "server/profiles/known_shares": "are functions of known share found in each kind of worker?",
    "server/public_names": "what does an app import?",
    "server/versions": "which versions of Flask and gunicorn work?",
    "shipper/damage": "what if a journal is damaged?",
    "shipper/outages": "is everything stored once, whatever fails?",
    "shipper/rolling": "is a journal that rolls delivered whole?",
    "shipper/strange_files": "what if other files lie among the journals?",
    "stack/browser": "does a first swarm work by clicking?",
    "stack/conservation": "sent = counted = scraped = stored?",
    "stack/many_machines": "do three machines work together?",
    "stack/own_app": "does `up` run another project's app in its own environment?",
    "stack/shop_story": "how does a stranger's service get from init to a gate?",
    "stack/refusals": "what does `up` refuse?",
}


def _name(test: Path) -> str:
    path = test.relative_to(TESTS)
    return path.with_name(path.stem.removeprefix("test_")).as_posix()


def _tested(name: str) -> bool:
    """Return whether a module, or the package that holds it, has that name."""
    names = (name, f"{name}_")  # `import` is no name for a module
    where = [folder / each for folder in (ROOT, ROOT / "swarmscope") for each in names]
    packages = (path.parent for path in where if path.name == path.parent.name)
    modules = (path.with_suffix(".py").exists() or path.is_dir() for path in where)
    return any(modules) or any(package.is_dir() for package in packages)


def test_a_test_is_named_after_a_module_or_is_a_listed_question():
    """Tests of what is no Python (compose, dashboards, deploy, prometheus) are free."""
    found = {_name(test) for test in TESTS.rglob("test_*.py")}
    inside = {name for name in found if name.split("/")[0] in PACKAGES and "/" in name}

    assert {name for name in inside if not _tested(name)} == set(QUESTIONS)
