"""Finds the files that come with the package: sample API, scenarios, dashboards, configuration."""

from __future__ import annotations

from pathlib import Path

import swarmscope


def shipped() -> Path:
    """Return the directory that holds ``api/``, ``grafana/``, ``locustfiles/``, ``prometheus/``.

    The sample's ``swarmscope.toml`` is there, too. The build maps all of it into the package; in a
    checkout (an editable install) it is beside the package.
    """
    package = Path(swarmscope.__file__).parent
    built_in = package / "shipped"
    return built_in if built_in.is_dir() else package.parent
