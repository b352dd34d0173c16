"""Other people's web pages and the Locust UI: what a foreign page may send, and what it gets."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
import requests
from support.browser import chromium_page, needs_chromium
from support.databases import fresh_runs_database
from support.locust import Field, Locust, locust_field, scenario
from support.locust_ui import BY_GET
from support.target import Target
from support.waiting import poll_until

EVIL = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
START = {"user_count": "1", "spawn_rate": "1"}
ARGUMENT = """
from locust import events

@events.init_command_line_parser.add_listener
def add_argument(parser):
    parser.add_argument("--flavour", default="plain")
"""


@pytest.fixture(scope="module")
def guarded(cluster, target, tmp_path_factory) -> Iterator[Locust]:
    """Run Locust with its UI and our listener."""
    directory = tmp_path_factory.mktemp("guarded")
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        password = ("--pgpassword", "open-sesame")
        yield field.with_ui(scenario(directory, more=ARGUMENT), *password)


@pytest.fixture(scope="module")
def proxied(cluster, target, tmp_path_factory) -> Iterator[Locust]:
    """Run Locust with its UI as behind a proxy with three public names."""
    directory = tmp_path_factory.mktemp("proxied")
    names = "load.example.com, tls.example.com:8443,*.wild.example"
    with (
        fresh_runs_database(cluster) as database,
        locust_field(directory, target.url, database) as field,
    ):
        yield field.with_ui(scenario(directory), LOCUST_WEB_ALLOWED_HOSTS=names)


def post(locust: Locust, path: str, form: dict[str, str], **headers: str) -> requests.Response:
    """Send a form as a browser would; stop a swarm as this Locust's own page does."""
    method = "GET" if BY_GET and path == "/stop" else "POST"
    url = f"{locust.url}{path}"
    return requests.request(method, url, data=form, headers=headers, timeout=10)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "http://127.0.0.1:1"},  # another port is another site
        {"Origin": "null"},  # a sandboxed frame
        {"Origin": "http://[broken"},
        {"Host": "[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},  # a name that an attacker lets point to 127.0.0.1
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Referer": "http://evil.example/page"},  # what a browser without Origin sends
        {"Referer": "http://127.0.0.1:1/"},
        {"Referer": "not an address"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/swarm", "/stop", "/stats/reset", "/user"])
def test_a_foreign_page_changes_nothing(guarded: Locust, path, headers):
    """A request that another page may have sent is refused before Locust sees it."""
    answer = post(guarded, path, START if path == "/swarm" else {}, **headers)
    assert answer.status_code == 403
    assert answer.json()["message"].startswith("Refused: ")
    assert guarded.state()["state"] == "ready"


@pytest.mark.parametrize("path", ["/stop", "/stats/reset"])
def test_a_foreign_page_changes_nothing_by_get(guarded: Locust, path):
    """Locust before 2.47 stops for a GET, which a page can send without a word of itself."""
    for headers in (EVIL, {"Referer": "http://evil.example/"}, {}):
        answer = requests.get(f"{guarded.url}{path}", headers=headers, timeout=10)
        assert answer.status_code == 403, headers
    for own in ({"Referer": f"{guarded.url}/"}, {"Sec-Fetch-Site": "same-origin"}):
        answer = requests.get(f"{guarded.url}{path}", headers=own, timeout=10)
        assert answer.status_code != 403, own


@pytest.mark.parametrize(
    "field",
    [
        "pghost",
        "pgport",
        "pgpassword",
        "html_file",
        "csv_prefix",
        "json_file",
        "logfile",
        "grafana_url",
        "journal_dir",
        "timescale",
        "swarmscope_run",
        "swarmscope_plan",
        "tags",
        "description",
        "stop_timeout",
    ],
)
def test_the_ui_changes_a_few_options_only(guarded: Locust, field):
    """No form may set where credentials go or what files are written."""
    answer = post(guarded, "/swarm", {**START, field: "x"})
    assert answer.status_code == 403
    assert field in answer.json()["message"]


def test_a_multipart_form_is_no_way_around(guarded: Locust):
    """Locust reads multipart forms too: they are refused as a whole."""
    answer = requests.post(
        f"{guarded.url}/swarm", files={"pghost": (None, "evil.example")}, timeout=10
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/", "/stats/requests", "/stats/report", "/exceptions"])
def test_a_name_that_points_here_reads_nothing(guarded: Locust, path):
    """To a browser a page under such a name is of one origin with ours (DNS rebinding)."""
    answer = requests.get(f"{guarded.url}{path}", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 403
    assert "--web-allowed-hosts" in answer.json()["message"]
    own = requests.get(f"{guarded.url}{path}", headers={"Host": "localhost:8089"}, timeout=10)
    assert own.status_code == 200


@pytest.mark.parametrize("path", ["/", "/both-ends", "/stats/report", "/no-such-page", "refused"])
def test_no_page_can_frame_ours(guarded: Locust, path):
    """A click that lands in an invisible frame would start a swarm."""
    refused = {"Host": "evil.example"} if path == "refused" else {}
    address = f"{guarded.url}/" if path == "refused" else f"{guarded.url}{path}"
    answer = requests.get(address, headers=refused, timeout=10)
    assert "frame-ancestors 'none'" in answer.headers.get("Content-Security-Policy", "")
    assert answer.headers.get("X-Frame-Options") == "DENY"


@contextlib.contextmanager
def another_site(page: str) -> Iterator[str]:
    """Serve *page* at another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@needs_chromium
def test_a_browser_shows_no_frame_of_ours(guarded: Locust):
    """A page of another port gets an error into its frame, and no UI to click on."""
    frame = f'<iframe src="{guarded.url}/" width="900" height="600"></iframe>'
    with another_site(frame) as address, chromium_page() as page:
        page.goto(address, wait_until="load")
        (framed,) = page.frames[1:]
        assert "Start" not in framed.inner_text("body")
        assert not framed.url.startswith(guarded.url)


def test_a_proxy_may_have_a_name_of_its_own(proxied: Locust):
    """Whatever Host it passes on, the page under an allowed name starts a swarm and stops it."""
    port = proxied.web_port
    for host, origin in (
        ("load.example.com", "https://load.example.com"),
        (f"127.0.0.1:{port}", "https://load.example.com"),  # a proxy that keeps its upstream's
        ("load.example.com:443", "https://load.example.com"),
        ("load.example.com", "https://load.example.com:443"),
        ("load.example.com:80", "https://load.example.com"),  # TLS ends at the proxy
        ("LOAD.example.com.", "https://load.example.com"),
        ("tls.example.com:8443", "https://tls.example.com:8443"),
        ("tls.example.com", "https://tls.example.com:8443"),  # nginx's $host has no port
        (f"127.0.0.1:{port}", "https://tls.example.com:8443"),
        ("team-a.wild.example", "https://team-a.wild.example"),
        (f"localhost:{port}", "https://a.b.wild.example"),
    ):
        own = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        page = requests.get(proxied.url, headers={"Host": host}, timeout=10)
        answer = post(proxied, "/stop", {}, **own)
        assert (page.status_code, answer.status_code) == (200, 200), (host, origin, answer.text)


def test_a_proxy_lets_no_other_site_in(proxied: Locust):
    """Allowed is a name at one port; not what looks like it, nor what another site sent."""
    port = proxied.web_port
    for host, origin, site in (
        ("load.example.com", "https://load.example.com.evil.example", "same-origin"),
        ("load.example.com", "https://evilload.example.com", "same-origin"),
        ("load.example.com", "https://load.example.com:9999", "same-origin"),
        (f"127.0.0.1:{port}", "https://load.example.com", "same-site"),
        (f"127.0.0.1:{port}", "https://load.example.com", "cross-site"),
        (f"127.0.0.1:{port}", "https://tls.example.com", "same-origin"),
        (f"127.0.0.1:{port}", "https://wild.example", "same-origin"),
        (f"127.0.0.1:{port}", "https://evilwild.example", "same-origin"),
        (f"127.0.0.1:{port}", "https://localhost", "same-origin"),
        (f"127.0.0.1:{port}", "https://user@load.example.com", "same-origin"),
        ("evil.example", "https://load.example.com", "same-origin"),
        ("wild.example", "https://wild.example", "same-origin"),
        ("load.example.com@evil.example", "https://load.example.com", "same-origin"),
    ):
        foreign = {"Host": host, "Origin": origin, "Sec-Fetch-Site": site}
        answer = post(proxied, "/stop", {}, **foreign)
        assert answer.status_code == 403, (host, origin, site)


def test_a_refusal_names_the_option_that_helps(proxied: Locust):
    """Who is locked out reads what to set, in full."""
    origin = {"Origin": "https://other.example:8443"}
    message = post(proxied, "/stop", {}, **origin).json()["message"]
    assert "--web-allowed-hosts other.example:8443" in message


def test_a_health_check_needs_no_name(guarded: Locust):
    """A probe asks by an address; the answer says that the master listens, and nothing else."""
    answer = requests.get(f"{guarded.url}/health", timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"status": "listening"})


def test_no_other_page_can_read(guarded: Locust):
    """Answers carry no CORS header, so browsers keep them from other pages."""
    for path in ("/", "/stats/requests", "/no-such-page"):
        answer = requests.get(f"{guarded.url}{path}", headers=EVIL, timeout=10)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_the_page_holds_no_password(guarded: Locust):
    """Locust prints custom options into its page; the database's are not among them."""
    page = requests.get(guarded.url, timeout=10).text
    assert "flavour" in page
    assert "open-sesame" not in page
    assert "pghost" not in page


def test_the_own_page_starts_and_stops(guarded: Locust, target: Target):
    """The UI's own requests pass, a scenario's argument among their fields."""
    own = {"Origin": guarded.url, "Sec-Fetch-Site": "same-origin"}
    form = {**START, "host": target.url, "run_time": "", "profile": "", "flavour": "sweet"}
    assert post(guarded, "/swarm", form, **own).json()["success"]
    poll_until(lambda: guarded.state()["user_count"] == 1, "a user")
    assert post(guarded, "/stop", {}, **own).json()["success"]
    poll_until(lambda: guarded.state()["state"] == "stopped", "the swarm to stop")


@pytest.mark.parametrize(
    "listener",
    ["ours", pytest.param("stock", marks=pytest.mark.xfail(strict=True, reason="tried: it does"))],
)
def test_a_foreign_page_gets_no_credentials(field: Field, listener):
    """A page that redirects the database connection gets nobody to connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        locust = field.with_ui(scenario(field.directory, listener=listener), PGPASSWORD="secret")
        form = {**START, "pghost": "127.0.0.1", "pgport": str(trap.getsockname()[1])}
        answer = post(locust, "/swarm", form, **EVIL)
        trap.settimeout(3)
        with pytest.raises(TimeoutError):
            trap.accept()
    assert answer.status_code == 403
