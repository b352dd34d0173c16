"""The words of docs/glossary.md are those of the code, the database and the texts people read."""

import json
import re

import pytest

from swarmscope.runs import document
from swarmscope.runs.histogram import CALLS, COMPONENTS, PARTS

FORMER = (  # words that data and texts once had for the same things
    "app_ms", "late_ms", "implausible", "ramp_complete", "server_p95_ms", "server p95",
    "client p95", "server-p95",
)  # fmt: skip
TOLD = ("faults.md", "run-document.md")  # these quote what once was
TEXTS = (
    "docs/*.md",
    "README.md",
    "grafana/dashboards/*.json",
    "swarmscope/runs/schema/views/*.sql",
)


@pytest.fixture
def glossary(root):
    return (root / "docs" / "glossary.md").read_text(encoding="utf-8")


def test_each_part_is_explained(glossary):
    """The parts that code knows are words of the glossary."""
    assert set(PARTS) <= set(re.findall(r"`(\w+)`", glossary))


def test_parts_are_the_same_in_sql(connection):
    """The database takes no other part than those of the code."""
    query = (
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conname IN ('histogram_closed_part_check', 'histogram_open_part_check')"
    )
    constraints = [text for (text,) in connection.execute(query).fetchall()]

    assert len(constraints) == 2
    for text in constraints:
        assert set(re.findall(r"'(\w+)'", text)) == {*PARTS, *COMPONENTS, *CALLS}


@pytest.mark.parametrize("kind", [document.Endpoint, document.Points])
def test_parts_are_the_same_in_the_document(kind):
    assert set(PARTS) <= kind.__dataclass_fields__.keys()


def test_texts_have_no_former_word(root):
    """Neither documentation, nor dashboards, nor SQL call a thing by a second name."""
    for pattern in TEXTS:
        for path in (found for found in root.glob(pattern) if found.name not in TOLD):
            text = path.read_text(encoding="utf-8")
            found = [word for word in FORMER if word in text]
            assert not found, path


def test_dashboards_ask_for_parts_that_there_are(root):
    """A part that SQL does not know would be an empty panel."""
    for path in (root / "grafana/dashboards").glob("*.json"):
        text = json.dumps(json.loads(path.read_text(encoding="utf-8")))
        assert set(re.findall(r"part = '(\w+)'", text)) <= set(PARTS), path
