"""Finds the files that come with the package: sample API, scenarios, dashboards, configuration."""

from __future__ import annotations

from pathlib import Path

import swarmscope


def shipped() -> Path:
    """Return the directory that holds ``api/``, ``grafana/``, ``locustfiles/``, ``prometheus/``.

    The build maps them into the package; in a checkout (an editable install) they are beside it.
    """
    package = Path(swarmscope.__file__).parent
    built_in = package / "shipped"
    return built_in if built_in.is_dir() else package.parent
