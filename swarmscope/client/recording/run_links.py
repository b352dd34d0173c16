"""Where a run can be seen: addresses for Locust's log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from locust.env import Environment

from swarmscope.home import dashboard_of_run
from swarmscope.redaction import scrub_name


def both_ends_link(environment: Environment) -> str:
    """Return the address of the page "Both ends" in this process's UI; '' where it has none."""
    ui = environment.web_ui
    if ui is None:
        return ""
    host = "localhost" if ui.host in ("", "0.0.0.0", "::", "*") else ui.host
    where = f"[{host}]" if ":" in host else host
    app: Any = ui.app
    prefix = app.blueprints["locust"].url_prefix or ""
    return f"http{'s' if ui.tls_cert else ''}://{where}:{ui.port}{prefix.rstrip('/')}/both-ends"


def grafana_link(url: str, run: str, ended: float | None = None) -> str:
    """Return the dashboard at *url* with the run and its time range set, for the log."""
    return dashboard_of_run(presentable(url), run, ended)


def presentable(url: str) -> str:
    """Return *url* with neither user info nor the value of a token."""
    parts = urlsplit(scrub_name(url))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
