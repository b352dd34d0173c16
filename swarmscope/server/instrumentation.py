"""`instrument`: what a Flask app needs to be understood under load.

prometheus-flask-exporter keeps registry, decorators and endpoint. Its default metrics are switched
off and observed under the same names by one wrapper around the WSGI application, which costs a
fraction of the exporter's three Flask hooks and sees the queue in front of the app.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask, Response, got_request_exception, request
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.wrappers import Request

from swarmscope.server.exporter_defaults import (
    ENDPOINT,
    EXTENSION,
    is_measured,
    stay_alone,
    take_over,
)
from swarmscope.server.logs import add_trace_ids, current_trace_id
from swarmscope.server.metrics import BUCKETS, FAMILIES, INFO, Metrics, Parts
from swarmscope.server.middleware import LABELS_KEY, Meter
from swarmscope.server.shared_sockets import is_first, others_serve
from swarmscope.server.slots import FILES

__all__ = ["BUCKETS", "current_trace_id", "instrument"]

DEFAULT_PATH = "/metrics"
FIRST_SCRAPES = 10  # by then all processes of a server have started
UNGROUPED = "ungrouped"  # a request for which `group_by` failed
UNKNOWN = "unknown"  # a label that only a response could tell
NOT_OURS = {"defaults_prefix", "default_latency_as_histogram", "group_by_endpoint"}

logger = logging.getLogger(__name__)

_metrics_in: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()


class DefaultRegistry(Collector):
    """Shows what the process's default registry has: its own metrics and those of libraries."""

    def collect(self) -> Iterable[Metric]:
        """Return its metrics, without the default ones of another app that may be in it."""
        return (metric for metric in REGISTRY.collect() if metric.name not in FAMILIES)


def instrument(
    app: Flask,
    *,
    buckets: Sequence[float] = BUCKETS,
    exclude: Collection[str] = (),
    path: str | None = None,
    group_by: str | Callable[[Request], str] = "url_rule",
    exporter: PrometheusMetrics | None = None,
    requests: bool = True,
    queue_time: bool = True,
    in_flight: bool = True,
    server_timing: bool = True,
    trace_ids: bool = True,
    **exporter_options: Any,
) -> PrometheusMetrics:
    """Measure every request of *app*; return its exporter, for decorators and metrics of its own.

    *buckets* are histogram edges in seconds. *exclude* are URL paths that leave no trace, such as
    health checks. *path* is where the app itself exposes metrics; by default ``/metrics`` unless
    `swarmscope.server.gunicorn` serves them elsewhere, and "" is nowhere. *group_by* names what
    requests are grouped by: a request's attribute or a function of it (one that fails has the group
    ``ungrouped``). *exporter* is one made
    earlier (``for_app_factory``); otherwise one is made with *exporter_options* and a registry of
    its own, so that apps never collide. The flags switch parts off: the ``flask_http_request_*``
    metrics, ``flask_http_request_queue_seconds``, ``flask_http_requests_in_flight``, the
    ``Server-Timing`` header, ``trace_id`` in log records. Raises TypeError for options of the
    exporter that would change the default metrics, RuntimeError for an app instrumented before,
    ValueError for one that shares a registry with another and wants other metrics in it.
    """
    if is_measured(app):
        raise RuntimeError(f"{app.name} is instrumented already")
    if refused := NOT_OURS & exporter_options.keys():
        raise TypeError(f"instrument() does not take {', '.join(sorted(refused))}")
    take_over(app)
    exporter = exporter or _exporter(app, exporter_options)
    path = _exposed_path(app, exporter, path)
    parts = Parts(requests, queue_time, in_flight)
    metrics = _metrics_of(exporter, buckets, group_by, parts)
    unmeasured = frozenset({*exclude, path} - {""})  # that is the root of a mounted app
    meter = Meter(app, exporter, metrics, unmeasured, _group(group_by), server_timing)
    app.wsgi_app = meter  # type: ignore[method-assign]
    app.extensions[EXTENSION] = meter
    got_request_exception.connect(meter.note_exception, app, weak=False)
    if metrics.default_labels:
        _keep_labels(app, exporter)
    if trace_ids:
        add_trace_ids()
    return exporter


def _exporter(app: Flask, options: dict[str, Any]) -> PrometheusMetrics:
    """Make an exporter whose endpoint shows the default registry's metrics too."""
    if "registry" not in options:
        options["registry"] = CollectorRegistry()
        options["registry"].register(DefaultRegistry())
    return PrometheusMetrics(app, path=None, export_defaults=False, **options)


def _exposed_path(app: Flask, exporter: PrometheusMetrics, path: str | None) -> str:
    """Register the app's own endpoint where it is wanted; return its path."""
    one_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    if path is None:
        path = "" if FILES.shared else DEFAULT_PATH
    if path and one_worker and not FILES.shared:
        app.logger.warning(
            "%s answers for one worker only; to see all of them, import the hooks of"
            " swarmscope.server.gunicorn in gunicorn's conf file",
            path,
        )
    if path:
        exporter.register_endpoint(path, app)
        if not one_worker:
            _tell_of_neighbours(app, path)
    return path


def _tell_of_neighbours(app: Flask, path: str) -> None:
    """Let a scrape that sees one of several processes say so, once for all of them."""
    view = app.view_functions.get(ENDPOINT)
    if view is None:
        return
    questions = FIRST_SCRAPES

    @functools.wraps(view)
    def view_and_tell(*arguments: Any, **named: Any) -> Any:
        nonlocal questions
        if questions:
            questions -= 1
            uwsgi = "uwsgi.version" in request.environ  # whose helpers hold its sockets too
            several = request.environ["wsgi.multiprocess"] if uwsgi else others_serve()
            questions *= not several
            if several and is_first():
                app.logger.warning(
                    "%s answers for one process only, and others serve the app too: each scrape"
                    " sees one of them. gunicorn with swarmscope's hooks serves all of them as one",
                    path,
                )
        return view(*arguments, **named)

    app.view_functions[ENDPOINT] = view_and_tell


def _metrics_of(
    exporter: PrometheusMetrics,
    buckets: Sequence[float],
    group_by: str | Callable[[Request], str],
    parts: Parts,
) -> Metrics:
    """Return the default metrics in the exporter's registry, made by the first app that has it."""
    group = group_by if isinstance(group_by, str) else group_by.__name__
    labels = exporter._default_labels
    extra = {name: UNKNOWN if callable(value) else str(value) for name, value in labels.items()}
    metrics = _metrics_in.get(exporter.registry)
    if metrics is not None:
        _refuse_others(metrics, (group, *extra), buckets, parts)
    else:
        metrics = Metrics(exporter.registry, buckets, group, extra, parts)
        _metrics_in[exporter.registry] = metrics
        if parts.requests:
            text = "Information about the Prometheus Flask exporter"
            exporter.info(INFO, text, version=exporter.version)
    return metrics


def _refuse_others(
    metrics: Metrics, labels: tuple[str, ...], buckets: Sequence[float], parts: Parts
) -> None:
    """Raise ValueError where a second app wants other metrics than those that its registry has."""
    there = {"labels": metrics.labels, "buckets": metrics.buckets, "parts": metrics.parts}
    wanted = {"labels": labels, "buckets": tuple(buckets), "parts": parts}
    if different := [name for name in there if there[name] != wanted[name]]:
        raise ValueError(
            f"another app has made the metrics of this registry with other {different[0]}:"
            f" {there[different[0]]}, not {wanted[different[0]]}; give both apps the same,"
            " or each a registry or an exporter of its own"
        )


def _group(group_by: str | Callable[[Request], str]) -> Callable[[Request], str] | None:
    """Return what tells the group of a request that a rule matched; None is the rule itself.

    It never fails: the answer stands by then, and the client is to have it.
    """
    if group_by == "url_rule":
        return None
    complained = False

    def group(request: Request) -> str:
        nonlocal complained
        try:
            return str(group_by(request) if callable(group_by) else getattr(request, group_by))
        except Exception:  # whatever a user's function may raise
            if not complained:
                logger.exception("group_by failed; its requests are counted as %s", UNGROUPED)
            complained = True
            return UNGROUPED

    return group


def _keep_labels(app: Flask, exporter: PrometheusMetrics) -> None:
    """Work out the exporter's default labels while the response is at hand."""
    labels = exporter._get_combined_labels(None)

    @app.after_request
    def keep_labels(response: Response) -> Response:
        values = labels.values_for(response)
        request.environ[LABELS_KEY] = tuple(str(values[name]) for name in exporter._default_labels)
        return response


stay_alone()
