"""What pods ask for, how they are probed, and how they end."""

from __future__ import annotations

from support.kustomize import (
    Object,
    containers,
    environment,
)


def test_a_cpu_limit_sets_the_apis_workers(pods: dict[str, Object]) -> None:
    """Unset, there would be one for each CPU of the node, which the limit then throttles."""
    (container,) = pods["api"]["containers"]

    assert environment(pods["api"])["API_WORKERS"] == container["resources"]["limits"]["cpu"]


def test_no_variable_of_kubernetes_own_meets_a_setting(pods: dict[str, Object]) -> None:
    """It would set API_PORT, GRAFANA_PORT and PROMETHEUS_PORT to tcp://… for services so named."""
    assert all(pod["enableServiceLinks"] is False for pod in pods.values())


def test_every_container_says_what_it_takes(pods: dict[str, Object]) -> None:
    """CPU and memory are asked for; memory is bounded."""
    for name, pod in pods.items():
        for container in containers(pod):
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
    for name in ("locust", "locust-worker"):  # throttling would show up as latency
        assert "cpu" not in pods[name]["containers"][0]["resources"]["limits"]


def test_probes(pods: dict[str, Object]) -> None:
    """All that stays is probed; what a swarm saturates is never restarted for being slow."""
    probed = {
        name: {kind for kind in ("startup", "readiness", "liveness") if f"{kind}Probe" in container}
        for name, pod in pods.items()
        for container in pod["containers"]
    }

    usual = {"startup", "readiness"}
    watched = usual | {"liveness"}
    assert probed == {
        "api": usual,
        "grafana": watched,
        "locust": usual,
        "locust-worker": usual,
        "migrate": set(),
        "prometheus": watched,
        "timescale": usual,
    }


def test_a_pod_that_ends_has_time_to_deliver(pods: dict[str, Object]) -> None:
    """Its journal goes with it."""
    for name in ("locust", "locust-worker"):
        drain_s = float(environment(pods[name])["LOCUST_DRAIN_TIME"])
        assert pods[name]["terminationGracePeriodSeconds"] >= drain_s + 10, name


def test_a_journal_fits_into_its_volume(pods: dict[str, Object]) -> None:
    """Else the kubelet would evict the pod before samples are dropped and counted."""
    for name in ("locust", "locust-worker"):
        (volume,) = [v for v in pods[name]["volumes"] if v["name"] == "journals"]
        gib = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
        assert int(environment(pods[name])["LOCUST_JOURNAL_LIMIT"]) < gib << 30, name
