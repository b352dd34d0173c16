"""Which services a run's hosts lead to, of all that a Prometheus knows."""

from __future__ import annotations

import pytest

from swarmscope.runs.services import Known, Place, Targets, belonging, serving

STACK = [  # as `swarmscope up` has it
    Place("pricing", "127.0.0.1:9103", "127.0.0.1:5001"),
    Place("shop", "127.0.0.1:9102", "0.0.0.0:5000"),
    Place("locust", "127.0.0.1:9646"),
]
CLUSTER = [  # as a company has it: many, of which some listen on the same port
    Place("api", "10.0.0.1:9102", "0.0.0.0:8000"),
    Place("orders", "10.0.0.2:9102", "0.0.0.0:8000"),
    Place("pricing", "pricing:9102", "[::]:8000"),
    Place("shop", "10.0.0.4:9102"),
    Place("node", "10.0.0.4:9100"),
]


@pytest.mark.parametrize(
    ("host", "places", "job"),
    [
        ("127.0.0.1:5000", STACK, "shop"),
        ("localhost:5001", STACK, "pricing"),
        ("[::1]:5001", STACK, "pricing"),
        ("127.0.0.1:5002", STACK, None),
        ("10.0.0.2:8000", CLUSTER, "orders"),
        ("pricing:8000", CLUSTER, "pricing"),
        ("shop.example.com:443", CLUSTER, "shop"),
        ("pricing.prod.svc.cluster.local:80", CLUSTER, "pricing"),
        ("www.example.com:443", CLUSTER, None),
        ("localhost:8000", CLUSTER, None),
        ("localhost:5000", [Place("shop", "host.docker.internal:9102", "0.0.0.0:5000")], "shop"),
        ("nonsense", STACK, None),
    ],
)
def test_a_host_leads_to_a_service(host, places, job):
    """By port and host, else by its name; what may be anybody's is nobody's."""
    assert serving(host, places) == ({job} if job else set())


@pytest.mark.parametrize(
    ("targets", "calls", "expected"),
    [
        (Targets(["http://127.0.0.1:5000"]), [], [("shop", "target")]),
        (
            Targets(["http://127.0.0.1:5000"]),
            [("shop", "127.0.0.1:5001"), ("shop", "api.example:443")],
            [("shop", "target"), ("pricing", "called")],
        ),
        (
            Targets(["http://127.0.0.1:5000"], ["shop", "pricing", "gone"]),
            [],
            [("shop", "target"), ("pricing", "named")],
        ),
        (Targets(["https://example.com"], ["shop"]), [], [("shop", "target")]),
        (Targets(["https://example.com"]), [("shop", "127.0.0.1:5001")], []),
        (Targets(["http://["]), [], []),
    ],
)
def test_a_runs_services(targets, calls, expected):
    """Those that the swarm drives, those that they call, and those that were named."""
    found = belonging(targets, Known(STACK, calls))

    assert [(service.name, service.role) for service in found] == expected


def test_calls_are_followed_to_their_end():
    """Each service once, however they call each other, and a bounded number of them."""
    places = [Place(f"s{n:02}", f"s{n:02}:9102") for n in range(20)]
    calls = [(f"s{n:02}", f"s{n + 1:02}:80") for n in range(19)] + [("s01", "s00:80")]

    found = belonging(Targets(["http://s00"]), Known(places, calls))

    assert [service.name for service in found] == [f"s{n:02}" for n in range(8)]
