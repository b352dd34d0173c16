"""PromQL for the resources that widespread exporters measure.

``$match`` are label matchers that choose one instance; ``$__rate_interval`` is a rate's window, as
in Grafana. The metrics are those of prometheus/node_exporter, oliver006/redis_exporter,
prometheus-community/postgres_exporter and nginx/nginx-prometheus-exporter.
"""

from __future__ import annotations

Queries = dict[str, str]  # "use", and maybe "limit" and "waiting"


def _rate(metric: str, labels: str = "", how: str = "sum") -> str:
    return f"{how} by (instance) (rate({metric}{{$match {labels}}}[$__rate_interval]))"


def _gauge(metric: str, labels: str = "", how: str = "sum") -> str:
    return f"{how} by (instance) ({metric}{{$match {labels}}})"


def _redis_cpu(thread: str) -> str:
    return " + ".join(_rate(f"redis_cpu_{mode}{thread}_seconds_total") for mode in ("user", "sys"))


PRESETS: dict[str, dict[str, Queries]] = {
    "node": {
        "CPU": {
            "use": _rate("node_cpu_seconds_total", 'mode!~"idle|iowait"'),
            "limit": _gauge("node_cpu_seconds_total", 'mode="idle"', "count"),
            "waiting": _rate("node_pressure_cpu_waiting_seconds_total"),
        },
        "memory": {
            "use": f"{_gauge('node_memory_MemTotal_bytes')}"
            f" - {_gauge('node_memory_MemAvailable_bytes')}",
            "limit": _gauge("node_memory_MemTotal_bytes"),
            "waiting": _rate("node_pressure_memory_waiting_seconds_total"),
        },
        "disk": {  # the busiest one
            "use": _rate("node_disk_io_time_seconds_total", how="max"),
            "limit": "1",
            "waiting": _rate("node_pressure_io_waiting_seconds_total"),
        },
    },
    "postgres": {
        "connections": {
            "use": _gauge("pg_stat_activity_count"),
            "limit": _gauge("pg_settings_max_connections", how="max"),
        },
        "active sessions": {
            "use": _gauge("pg_stat_activity_count", 'state="active"'),
            "waiting": _gauge("pg_stat_activity_count", 'state="active", wait_event_type="Lock"'),
        },
    },
    "redis": {
        "CPU": {  # one thread runs all commands; Redis before 6.2 has its CPU not by thread
            "use": f"({_redis_cpu('_main_thread')}) or ({_redis_cpu('')})",
            "limit": "1",
        },
        "memory": {
            "use": _gauge("redis_memory_used_bytes"),
            "limit": f"{_gauge('redis_memory_max_bytes')} > 0",  # 0: there is none
        },
        "clients": {
            "use": _gauge("redis_connected_clients"),
            "limit": _gauge("redis_config_maxclients"),
        },
    },
    "nginx": {  # `worker_connections`, the limit, is in no metric: settings may say it
        "connections": {"use": _gauge("nginx_connections_active")},
    },
}
