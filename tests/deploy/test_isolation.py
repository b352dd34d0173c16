"""Nothing in the cluster is open that need not be: network, privileges, secrets."""

from __future__ import annotations

from pathlib import Path

from support.kustomize import (
    NAME,
    WORKLOADS,
    Object,
    by_kind,
    containers,
)

SECRETS = {
    "secrets-app": {"locust", "locust-worker", "migrate"},
    "secrets-database": {"timescale", "migrate"},
    "secrets-grafana": {"grafana", "migrate"},
    "secrets-metrics": {"api", "locust"},
}

TALK = {  # (who, to whom, port): all that is allowed
    ("locust-worker", "api", "http"),
    ("locust", "api", "http"),
    ("prometheus", "api", "metrics"),
    ("locust", "api", "metrics"),  # profiles
    ("locust-worker", "locust", "workers"),
    ("prometheus", "locust", "metrics"),
    ("grafana", "prometheus", "http"),
    ("locust", "prometheus", "http"),
    ("locust-worker", "prometheus", "http"),
    ("grafana", "timescale", "postgres"),
    ("locust", "timescale", "postgres"),
    ("locust-worker", "timescale", "postgres"),
    ("migrate", "timescale", "postgres"),
}


def test_generated_secrets_are_never_committed(root: Path) -> None:
    """Where the generator writes is ignored."""
    assert "deploy/kubernetes/secrets/" in (root / ".gitignore").read_text().splitlines()


def test_nothing_is_published(built: list[Object]) -> None:
    """People come in by port-forward, as they come in by loopback elsewhere."""
    kinds = {item["kind"] for item in built}
    services = by_kind(built, "Service")

    assert "Ingress" not in kinds
    assert all(
        service["spec"].get("type", "ClusterIP") == "ClusterIP" for service in services.values()
    )
    for pod in (o["spec"]["template"]["spec"] for o in built if o["kind"] in WORKLOADS):
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}


def test_who_may_talk_to_whom(built: list[Object], pods: dict[str, Object]) -> None:
    """Everything is closed first; what is opened are ports that are there."""
    policies = by_kind(built, "NetworkPolicy")
    closed = policies.pop("deny-all")["spec"]
    allowed = {
        (peer["podSelector"]["matchLabels"][NAME], name, port["port"])
        for name, policy in policies.items()
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
        for peer in rule["from"]
    }

    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert allowed == TALK
    for _, name, port in allowed:
        assert port in {p["name"] for p in pods[name]["containers"][0]["ports"]}
    for name, policy in policies.items():
        assert policy["spec"]["podSelector"] == {"matchLabels": {NAME: name}}


def test_no_pod_can_do_more_than_it_must(built: list[Object], pods: dict[str, Object]) -> None:
    """What the namespace's `restricted` level demands, and a root file system to read only."""
    namespace = by_kind(built, "Namespace")["swarmscope"]
    enforced = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    for name, pod in pods.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_a_secret_is_mounted_only_where_it_is_read(pods: dict[str, Object]) -> None:
    """As in Compose: one for each who reads it, in a file, never in a variable."""
    readers = {
        secret: {
            name
            for name, pod in pods.items()
            for volume in pod["volumes"]
            if volume.get("secret", {}).get("secretName", "").startswith(f"{secret}-")
        }
        for secret in SECRETS
    }

    assert readers == SECRETS
    for name, pod in pods.items():
        for container in containers(pod):
            assert not any("valueFrom" in variable for variable in container.get("env", [])), name
            for mount in container["volumeMounts"]:
                assert mount.get("readOnly") or not mount["name"].startswith("secrets-"), name
