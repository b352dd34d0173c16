"""The dashboards' queries, as Grafana would send them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS_STEP_S = 2  # the least; no point comes more often than a scrape
DASHBOARDS = sorted((ROOT / "grafana/dashboards").glob("*.json"))


@dataclass(frozen=True)
class Query:
    """One query of a dashboard: where it stands, whom it asks, and what."""

    dashboard: str
    place: str  # "panel Users, A"; "variable run"; "annotation Run"
    datasource: str  # uid
    text: str
    target: Mapping[str, Any]
    points: int | None = None  # the most that its panel draws, where that is not its width

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.place}"


@dataclass(frozen=True)
class View:
    """What a viewer has chosen: a time range in Unix seconds, variables, the width of a point."""

    start: float
    end: float
    variables: Mapping[str, str]
    interval_s: int

    def milliseconds(self) -> tuple[int, int]:
        """Return the range as Grafana's links have it."""
        return round(self.start * 1000), round(self.end * 1000)


def load(path: Path) -> dict[str, Any]:
    """Return a dashboard's JSON."""
    dashboard: dict[str, Any] = json.loads(path.read_text())
    return dashboard


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all panels, also those inside collapsed rows, but not the rows themselves."""
    for panel in dashboard["panels"]:
        yield from panel.get("panels", ())
        if panel["type"] != "row":
            yield panel


def queries(path: Path) -> Iterator[Query]:
    """Yield every query of a dashboard: its variables', its annotations', its panels'."""
    dashboard = load(path)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield _query(path, f"variable {variable['name']}", variable["datasource"], variable)
    for annotation in dashboard["annotations"]["list"]:
        target = annotation["target"]
        yield _query(path, f"annotation {annotation['name']}", annotation["datasource"], target)
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            place = f"panel {panel['title']}, {target['refId']}"
            source = target.get("datasource", panel["datasource"])
            yield _query(path, place, source, target, panel.get("maxDataPoints"))


def _query(
    path: Path,
    place: str,
    datasource: Mapping[str, str],
    target: Mapping[str, Any],
    points: int | None = None,
) -> Query:
    text = target.get("rawSql") or target.get("expr") or target["query"]
    text = text if isinstance(text, str) else text["query"]
    return Query(path.stem, place, datasource["uid"], text, target, points)


ALL_ROUTES = ".*"  # the option All of the variables that have one; Grafana leaves it as it is
FORMATS: Mapping[str, Callable[[str], str]] = {  # as Grafana's front end formats a variable's value
    "": lambda value: value.replace("\\", "\\\\").replace("'", "\\\\'"),  # in PromQL
    "raw": lambda value: value,
    "regex": lambda value: (
        value if value == ALL_ROUTES else re.sub(r"[\\^$.*+?()\[\]{}|]", r"\\\g<0>", value)
    ),
    "percentencode": lambda value: quote(value, safe=""),
    "sqlstring": lambda value: "'" + value.replace("'", "''").replace('"', '\\"') + "'",
}


def interpolated(text: str, view: View) -> str:
    """Replace variables as Grafana does in the browser, before a query is sent."""
    start, end = view.milliseconds()
    builtin = {"__from": str(start), "__to": str(end), "__interval_ms": str(view.interval_s * 1000)}

    def replace(match: re.Match[str]) -> str:
        name, _, style = match[1].partition(":")
        return FORMATS[style]({**view.variables, **builtin}[name])

    return re.sub(r"\$\{([^}]+)\}", replace, text)


def sql(text: str, view: View) -> str:
    """Return the statement that reaches PostgreSQL: variables, then the data source's macros."""
    start, end = (
        f"'{datetime.fromtimestamp(moment, UTC).isoformat()}'" for moment in (view.start, view.end)
    )
    text = interpolated(text, view)
    text = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN {start} AND {end}", text)
    text = text.replace("$__timeFrom()", start).replace("$__timeTo()", end)
    return text.replace("$__interval_ms", str(view.interval_s * 1000))


def promql(text: str, view: View) -> str:
    """Return the expression that reaches Prometheus; a variable's values are its label's."""
    text = interpolated(text, view)
    text = re.sub(r"^label_values\((.*),\s*(\w+)\)$", r"group by (\2) (\1)", text)
    text = re.sub(r"^query_result\((.*)\)$", r"\1", text)
    step_s = max(view.interval_s, PROMETHEUS_STEP_S)
    rate_s = max(step_s + PROMETHEUS_STEP_S, 4 * PROMETHEUS_STEP_S)
    text = text.replace("$__rate_interval", f"{rate_s}s")
    text = text.replace("$__range", f"{math.ceil(view.end - view.start)}s")
    return text.replace("$__interval", f"{step_s}s")
