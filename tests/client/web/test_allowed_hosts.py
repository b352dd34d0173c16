"""What may be named in --web-allowed-hosts, and what is refused at start."""

from __future__ import annotations

import pytest
from support.locust import Field, scenario

from swarmscope.client.web.allowed_hosts import AllowedHosts, origin_of, place_of


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ("load.example.com", "https://load.example.com"),
        ("load.example.com", "http://load.example.com:80"),
        ("load.example.com:443", "https://load.example.com"),
        ("Load.Example.COM:8443", "https://load.example.com:8443"),
        ("load.example.com.", "https://load.example.com"),
        ("*.example.com", "https://a.b.example.com"),
        ("*.example.com:8443", "https://a.example.com:8443"),
        ("under_score.lan", "http://under_score.lan"),
        ("bücher.example", "https://xn--bcher-kva.example"),
        ("10.0.0.5", "https://10.0.0.5"),
        ("[fd00::5]:8443", "https://[fd00::5]:8443"),
        ("fd00::5", "https://[fd00::5]"),
    ],
)
def test_an_entry_allows_what_it_names(entry, own):
    """A name with or without a port, in any case; below a domain, all names."""
    place, usual_port = origin_of(own)
    allowed = AllowedHosts(f"else.example,{entry}")
    assert allowed.hold(place, usual_port)
    assert allowed.know(place.name)


@pytest.mark.parametrize(
    ("entry", "other"),
    [
        ("load.example.com", "https://load.example.com:8443"),
        ("load.example.com", "https://aload.example.com"),
        ("load.example.com:8443", "https://load.example.com"),
        ("*.example.com", "https://example.com"),
        ("*.example.com", "https://evilexample.com"),
        ("*.example.com", "https://.example.com.evil.example"),
        ("load.example.com", "ftp://load.example.com"),
        ("load.example.com", "https://load.example.com@evil.example"),
        ("load.example.com", "null"),
        ("load.example.com", "https://load.example.com:x"),
    ],
)
def test_an_entry_allows_nothing_else(entry, other):
    """Neither another port nor a name that only begins or ends alike."""
    origin = origin_of(other)
    assert origin is None or not AllowedHosts(entry).hold(*origin)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "*.",
        "a*.example.com",
        "load.*.com",
        "https://load.example.com",
        "load.example.com/ui",
        "load.example.com:0",
        "load.example.com:99999",
        "load.example.com:http",
        "user@load.example.com",
        "two words",
        "-a.example",
        "a..example",
        "[::1",
    ],
)
def test_a_useless_entry_is_refused(entry):
    """What could never match is one line at the start, and no silence."""
    with pytest.raises(ValueError, match="--web-allowed-hosts") as refused:
        AllowedHosts(f"load.example.com,{entry}")
    assert repr(entry) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["", "[broken", "a b", "a/b", "a@b", "a:b:c", "\\a", "a\r\nb"])
def test_a_broken_host_is_no_place(host):
    """Whatever a client sends as Host is read or rejected, and never raises."""
    assert place_of(host) is None


def test_locust_does_not_start_with_a_useless_entry(field: Field):
    """The start ends with that line."""
    locust = field.run("-f", scenario(field.directory), LOCUST_WEB_ALLOWED_HOSTS="*")
    assert locust.process.wait(30) != 0
    assert "--web-allowed-hosts '*': expected NAME, NAME:PORT or *.DOMAIN" in locust.text()
    assert "Traceback" not in locust.text()
