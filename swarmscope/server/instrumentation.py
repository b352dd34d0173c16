"""`instrument` measures a Flask app under load.

prometheus-flask-exporter provides registry, decorators and endpoint. Its default metrics are
switched off and observed under the same names by one WSGI middleware, which costs a fraction of the
exporter's three Flask hooks and sees the queue in front of the app.
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

from swarmscope.server.components.breakdown import COMPONENTS
from swarmscope.server.components.measuring import (
    COMPONENTS_VARIABLE,
    PROPAGATE_VARIABLE,
    Components,
    checked,
    names_from,
)
from swarmscope.server.components.outgoing import EVERY_HOST
from swarmscope.server.exporter_defaults import (
    ENDPOINT,
    EXTENSION,
    is_measured,
    replace_exporter,
    silence_later_exporters,
)
from swarmscope.server.logs import add_trace_ids, current_trace_id
from swarmscope.server.metrics import BUCKETS, FAMILIES, INFO, Metrics, Switches
from swarmscope.server.middleware import LABELS_KEY, Middleware
from swarmscope.server.shared_sockets import claim_warning, is_shared
from swarmscope.server.slots import FILES

__all__ = ["BUCKETS", "current_trace_id", "instrument"]

DEFAULT_PATH = "/metrics"
EXCLUDE_VARIABLE = "SWARMSCOPE_EXCLUDE"  # URL paths, separated by commas
FIRST_SCRAPES = 10  # after these, all processes of a server have started
UNGROUPED = "ungrouped"  # a request for which `group_by` failed
UNKNOWN = "unknown"  # a label that needs a response, and there was none
NOT_OURS = {"defaults_prefix", "default_latency_as_histogram", "group_by_endpoint"}

logger = logging.getLogger(__name__)

_metrics_in: WeakKeyDictionary[CollectorRegistry, Metrics] = WeakKeyDictionary()


class DefaultRegistry(Collector):
    """Exposes the process's default registry: its own metrics and those of libraries."""

    def collect(self) -> Iterable[Metric]:
        """Return its metrics, except the default metrics of another app."""
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
    components: Collection[str] = COMPONENTS,
    propagate: Collection[str] = EVERY_HOST,
    **exporter_options: Any,
) -> PrometheusMetrics:
    """Measure every request of *app*; return its exporter, for decorators and metrics of its own.

    ::

        metrics = instrument(app, exclude={"/health"})

    *buckets* are histogram edges in seconds, *exclude* URL paths that are not measured, besides
    those in the environment's ``SWARMSCOPE_EXCLUDE``, separated by commas. *path* is
    where the app itself exposes metrics: by default ``/metrics``, or nowhere ("") if
    `swarmscope.server.gunicorn` serves them. *group_by* is an attribute of a request or a function
    of it, whose errors give the group ``ungrouped``. *exporter* is one from ``for_app_factory``; by
    default one is created with *exporter_options* and a separate registry. The flags switch off the
    ``flask_http_request_*`` metrics, ``flask_http_request_queue_seconds``,
    ``flask_http_requests_in_flight``, the ``Server-Timing`` header and ``trace_id`` in log records.
    *components* are those of the service time that are measured. *propagate* are patterns of hosts:
    calls to them carry ``X-Request-Start`` and ``traceparent``. ``SWARMSCOPE_COMPONENTS`` and
    ``SWARMSCOPE_PROPAGATE`` in the environment, such as ``cpu,db`` and ``none``, replace them.
    Raises TypeError for exporter options that would change the default metrics, RuntimeError if
    *app* is instrumented already, ValueError for an unknown component, or if another app made other
    metrics in its registry.
    """
    if is_measured(app):
        raise RuntimeError(f"{app.name} is already instrumented")
    if refused := NOT_OURS & exporter_options.keys():
        raise TypeError(f"instrument() does not take {', '.join(sorted(refused))}")
    measured = checked(names_from(COMPONENTS_VARIABLE, components))
    hosts = names_from(PROPAGATE_VARIABLE, propagate)
    replace_exporter(app)
    exporter = exporter or _exporter(app, exporter_options)
    path = _exposed_path(app, exporter, path)
    switches = Switches(requests, queue_time, in_flight, bool(measured))
    metrics = _metrics_of(exporter, buckets, group_by, switches)
    excluded = {part.strip() for part in os.environ.get(EXCLUDE_VARIABLE, "").split(",")}
    unmeasured = frozenset({*exclude, *excluded, path} - {""})  # that is the root of a mounted app
    parts = Components(measured, hosts, metrics.components) if measured or hosts else None
    group = _group(group_by)
    middleware = Middleware(app, exporter, metrics, unmeasured, group, server_timing, parts)
    app.wsgi_app = middleware  # type: ignore[method-assign]
    app.extensions[EXTENSION] = middleware
    got_request_exception.connect(middleware.note_exception, app, weak=False)
    if metrics.default_labels:
        _keep_labels(app, exporter)
    if trace_ids:
        add_trace_ids()
    return exporter


def _exporter(app: Flask, options: dict[str, Any]) -> PrometheusMetrics:
    """Create an exporter whose endpoint exposes the default registry's metrics, too."""
    if "registry" not in options:
        options["registry"] = CollectorRegistry()
        options["registry"].register(DefaultRegistry())
    return PrometheusMetrics(app, path=None, export_defaults=False, **options)


def _exposed_path(app: Flask, exporter: PrometheusMetrics, path: str | None) -> str:
    """Register the app's own endpoint if it is wanted; return its path."""
    one_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    if path is None:
        path = "" if FILES.shared else DEFAULT_PATH
    if path and one_worker and not FILES.shared:
        app.logger.warning(
            "%s has the metrics of one worker only; to see all workers, import the hooks of"
            " swarmscope.server.gunicorn in gunicorn's conf file",
            path,
        )
    if path:
        app.view_functions.pop(ENDPOINT, None)  # that of an exporter that was there before
        exporter.register_endpoint(path, app)
        if not one_worker:
            _warn_about_other_processes(app, path)
    return path


def _warn_about_other_processes(app: Flask, path: str) -> None:
    """Make a scrape that sees one of several processes log a warning, once for all of them."""
    view = app.view_functions.get(ENDPOINT)
    if view is None:
        return
    questions = FIRST_SCRAPES

    @functools.wraps(view)
    def view_and_warn(*arguments: Any, **named: Any) -> Any:
        nonlocal questions
        if questions:
            questions -= 1
            uwsgi = (
                "uwsgi.version" in request.environ
            )  # whose helper processes hold its sockets, too
            several = request.environ["wsgi.multiprocess"] if uwsgi else is_shared()
            questions *= not several
            if several and claim_warning():
                app.logger.warning(
                    "%s has the metrics of one process only, and several serve the app: each scrape"
                    " sees one of them. gunicorn with swarmscope's hooks serves them all together",
                    path,
                )
        return view(*arguments, **named)

    app.view_functions[ENDPOINT] = view_and_warn


def _metrics_of(
    exporter: PrometheusMetrics,
    buckets: Sequence[float],
    group_by: str | Callable[[Request], str],
    switches: Switches,
) -> Metrics:
    """Return the default metrics in the exporter's registry, created for its first app."""
    group = group_by if isinstance(group_by, str) else group_by.__name__
    labels = exporter._default_labels
    extra = {name: UNKNOWN if callable(value) else str(value) for name, value in labels.items()}
    metrics = _metrics_in.get(exporter.registry)
    if metrics is not None:
        _refuse_others(metrics, (group, *extra), buckets, switches)
    else:
        metrics = Metrics(exporter.registry, buckets, group, extra, switches)
        _metrics_in[exporter.registry] = metrics
        if switches.requests:
            text = "Information about the Prometheus Flask exporter"
            exporter.info(INFO, text, version=exporter.version)
    return metrics


def _refuse_others(
    metrics: Metrics, labels: tuple[str, ...], buckets: Sequence[float], switches: Switches
) -> None:
    """Raise ValueError if a second app wants other metrics than its registry has."""
    there = {"labels": metrics.labels, "buckets": metrics.buckets, "switches": metrics.switches}
    wanted = {"labels": labels, "buckets": tuple(buckets), "switches": switches}
    if different := [name for name in there if there[name] != wanted[name]]:
        raise ValueError(
            f"another app created the metrics of this registry with other {different[0]}:"
            f" {there[different[0]]}, not {wanted[different[0]]}; use the same for both apps,"
            " or a registry or an exporter for each"
        )


def _group(group_by: str | Callable[[Request], str]) -> Callable[[Request], str] | None:
    """Return the function that groups a request that a rule matched; None is the rule itself.

    It never fails: the response is complete by then, and the client should get it.
    """
    if group_by == "url_rule":
        return None
    logged = False

    def group(request: Request) -> str:
        nonlocal logged
        try:
            return str(group_by(request) if callable(group_by) else getattr(request, group_by))
        except Exception:  # whatever a user's function may raise
            if not logged:
                logger.exception("group_by failed; its requests are counted as %s", UNGROUPED)
            logged = True
            return UNGROUPED

    return group


def _keep_labels(app: Flask, exporter: PrometheusMetrics) -> None:
    """Compute the exporter's default labels while the response is available."""
    labels = exporter._get_combined_labels(None)

    @app.after_request
    def keep_labels(response: Response) -> Response:
        values = labels.values_for(response)
        request.environ[LABELS_KEY] = tuple(str(values[name]) for name in exporter._default_labels)
        return response


silence_later_exporters()
