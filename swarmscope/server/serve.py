"""A gunicorn conf module that measures a Flask app whose project knows nothing of swarmscope::

    gunicorn -c python:swarmscope.server.serve 'shop:create_app()'

It has all settings and hooks of the project's own conf file: the one that
``SWARMSCOPE_GUNICORN_CONF`` names, else ``gunicorn.conf.py`` in the current directory.
``SWARMSCOPE_METRICS_HOST`` and ``SWARMSCOPE_METRICS_PORT`` say where the metrics are served.
"""

from __future__ import annotations

import os
from pathlib import Path

from gunicorn.app.base import Application  # type: ignore[import-untyped]

control_socket_disable = True  # its path would be shared by all of a user's gunicorns

_conf = os.environ.get("SWARMSCOPE_GUNICORN_CONF") or "gunicorn.conf.py"
if os.environ.get("SWARMSCOPE_GUNICORN_CONF") or Path(_conf).exists():
    _settings = Application.get_config_from_filename(None, _conf)  # errors are shown as gunicorn's
    globals().update({k: v for k, v in _settings.items() if not k.startswith("__")})

daemon = False  # the supervisor needs to see it
if "_hooks_above" not in globals():  # else the conf file imports the hooks itself
    from swarmscope.server.gunicorn import *  # noqa: F403

if os.environ.get("SWARMSCOPE_METRICS_PORT"):
    from swarmscope.server.gunicorn import serve_metrics

    serve_metrics(
        int(os.environ["SWARMSCOPE_METRICS_PORT"]),
        os.environ.get("SWARMSCOPE_METRICS_HOST") or "127.0.0.1",
    )
