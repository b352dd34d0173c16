"""Dashboards and rules for a Grafana and a Prometheus of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from swarmscope.stack.scrape_interval import ScrapeInterval
from swarmscope.stack.shipped import shipped
from swarmscope.stack.slo import with_objective

RULES = "swarmscope-rules.yml"
GRAFANA = "12.2.0"  # that a test imports into
FIRING = 'ALERTS{alertstate=\\"firing\\"'  # as JSON has it
LAST_GROUP = "\n  # About every target"  # of the rules
POSTGRES = "grafana-postgresql-datasource"
INPUTS = {  # what an import asks for: data sources, by the uids of the stack's own
    "prometheus": {
        "name": "DS_PROMETHEUS",
        "label": "Prometheus",
        "description": "Scrapes the services and Locust",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    },
    "timescale": {
        "name": "DS_RUNS",
        "label": "Runs database",
        "description": "PostgreSQL or TimescaleDB, with the role swarmscope_reader",
        "type": "datasource",
        "pluginId": POSTGRES,
        "pluginName": "PostgreSQL",
    },
}


class DataSources(NamedTuple):
    """Uids of the data sources in a Grafana."""

    prometheus: str
    timescale: str


def exported(
    interval: ScrapeInterval, environment: Mapping[str, str], sources: DataSources | None = None
) -> dict[str, str]:
    """Return {file name: text} of all dashboards and the rules, with the SLO of *environment*.

    Without *sources*, an import asks for them; with them, the dashboards are ready for Grafana's
    file provisioning, which cannot ask.
    """
    texts = {}
    for file in sorted((shipped() / "grafana/dashboards").glob("*.json")):
        dashboard = _dashboard(interval.dashboard(file.read_text(encoding="utf-8")), sources)
        text = json.dumps(dashboard, indent=2, ensure_ascii=False)
        texts[f"{dashboard['uid']}.json"] = f"{text}\n"
    rules = (shipped() / "prometheus/rules.yml").read_text(encoding="utf-8")
    texts[RULES] = interval.rules(with_objective(_own_alerts(rules), environment))
    return texts


def _dashboard(text: str, sources: DataSources | None) -> dict[str, Any]:
    text = text.replace(FIRING, f'{FIRING}, source=\\"swarmscope\\"')
    used = [uid for uid in INPUTS if _reference(uid) in text]
    for uid in used:
        chosen = getattr(sources, uid) if sources else f"${{{INPUTS[uid]['name']}}}"
        text = text.replace(_reference(uid), _reference(chosen))
    dashboard: dict[str, Any] = {"id": None, **json.loads(text), "editable": True}
    if sources:
        return dashboard
    inputs = [INPUTS[uid] for uid in used]
    return {"__inputs": inputs, "__requires": _required(dashboard, used), **dashboard}


def _reference(uid: str) -> str:
    return f'"uid": {json.dumps(uid)}'


def _required(dashboard: Mapping[str, Any], used: list[str]) -> list[dict[str, str]]:
    """Return the parts of Grafana that *dashboard* needs."""
    nested = [panel for row in dashboard["panels"] for panel in row.get("panels", ())]
    panels = sorted({panel["type"] for panel in [*dashboard["panels"], *nested]} - {"row"})
    plugins = [(INPUTS[uid]["pluginId"], INPUTS[uid]["pluginName"]) for uid in used]
    return [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA},
        *({"type": "datasource", "id": id_, "name": name, "version": ""} for id_, name in plugins),
        *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in panels),
    ]


def _own_alerts(rules: str) -> str:
    """Return *rules* without those about any target; alerts get a label that says whose they are.

    Dashboards select by it: a company's Prometheus has other alerts.
    """
    return rules.partition(LAST_GROUP)[0].replace("{severity:", "{source: swarmscope, severity:")
