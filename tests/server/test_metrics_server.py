"""The metrics port of a real arbiter: only ``/metrics``, whoever asks, for as long as it lives."""

import http.client
import os
import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.gunicorn import start_gunicorn
from support.scraping import scrape
from support.timed_client import get
from support.waiting import free_port, poll_until, port_answers


def port_of(service):
    return urlsplit(service.metrics_url).port


def ask(port, method="GET", path="/metrics"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    return response, response.read()


def raw(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(request)
        return client.recv(100)


def test_only_metrics_are_there(serve):
    """Other paths, other methods and nonsense are refused; the service itself has no /metrics."""
    with serve("-w", "1") as service:
        port = port_of(service)
        get(service.port, "/pid")

        response, body = ask(port)
        assert (response.status, response.headers["Content-Type"]) == (
            200,
            "text/plain; version=0.0.4; charset=utf-8",
        )
        assert b'flask_http_request_total{method="GET",status="200"} 1.0\n' in body
        head, nothing = ask(port, "HEAD")
        assert (head.status, nothing) == (200, b"")
        assert abs(int(head.headers["Content-Length"]) - len(body)) < len(body) / 20
        assert ask(port, path="/metrics?name=x")[0].status == 200
        assert ask(port, path="/")[0].status == 404
        assert ask(port, path="/metrics/../etc/passwd")[0].status == 404
        assert ask(port, "POST")[0].status == 405
        assert raw(port, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000).startswith(b"HTTP/1.1 400 ")
        assert get(service.port, "/metrics").status == 404


def test_it_listens_on_loopback_alone(serve):
    """Unless the conf file says otherwise."""
    with serve("-w", "1", conf="serve_metrics(port=0, host='127.0.0.2')\n") as service:
        assert service.metrics_url.startswith("http://127.0.0.2:")
        assert scrape(service.metrics_url).value("gunicorn_workers") == 1
        assert not port_answers(port_of(service))


def test_an_address_of_version_6_stands_in_brackets(serve):
    """So the line in the log is one to click on."""
    with serve("-w", "1", conf="serve_metrics(port=0, host='::1')\n") as service:
        assert service.metrics_url.startswith("http://[::1]:")
        assert scrape(service.metrics_url).value("gunicorn_workers") == 1


def test_slow_scrapers_hold_up_nobody(serve):
    """More of them than there are places, silent or half-way: the next scrape is served."""
    with serve("-w", "1") as service:
        port = port_of(service)
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for client in slow[::2]:
            client.sendall(b"GET /metrics HT")
        unread = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        for client in unread:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")

        for _ in range(20):
            assert service.scrape().value("gunicorn_workers") == 1
        for client in slow + unread:
            client.close()


def test_many_scrapers_while_workers_come_and_go(serve):
    """All are answered, and every worker starts: a fork never takes a scrape's lock along."""
    with serve("-w", "2", "--preload") as service:
        url, port = service.metrics_url, service.port
        scrapes, failures, done = [], [], threading.Event()

        def keep_scraping():
            while not done.is_set():
                try:
                    scrapes.append(scrape(url).value("gunicorn_workers"))
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=keep_scraping) for _ in range(6)]
        for thread in threads:
            thread.start()
        poll_until(lambda: len(service.workers()) == 2, "both workers")
        for _ in range(10):
            before = service.workers()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            poll_until(lambda before=before: len(service.workers() - before) == 2, "new workers")
            assert {get(port, "/pid").status for _ in range(4)} == {200}
        done.set()
        for thread in threads:
            thread.join()

        assert failures == []
        assert len(scrapes) > 20
        restarted = service.scrape().total("gunicorn_worker_restarts_total")
        assert restarted == 20


def keep_busy(port):
    with pytest.raises(OSError, match=r"closed|reset"):
        get(port, "/sleep/3000")


def test_the_port_dies_with_the_arbiter(serve):
    """A worker that outlives a killed arbiter does not keep it open."""
    with serve("-w", "1", "--timeout", "0") as service:
        port = port_of(service)
        working = threading.Thread(target=keep_busy, args=(service.port,))
        working.start()
        poll_until(lambda: service.scrape().value("flask_http_requests_in_flight") == 1, "work")
        (worker,) = service.workers()

        os.kill(service.pid, signal.SIGKILL)
        service.gunicorn.process.wait()

        assert os.path.exists(f"/proc/{worker}")
        assert not port_answers(port)
        os.kill(worker, signal.SIGKILL)
        working.join()


def refused(tmp_path: Path, base: Path, port: int) -> str:
    """Start a gunicorn whose metrics cannot be served; return the log that it ends with."""
    conf = tmp_path / "conf.py"
    conf.write_text(f"from swarmscope.server.gunicorn import *\nserve_metrics(port={port})\n")
    gunicorn = start_gunicorn(
        "-c", str(conf), "-b", "127.0.0.1:0", "support.service:create_app()",
        log=tmp_path / "log", environment={"PROMETHEUS_MULTIPROC_DIR": str(base)},
    )  # fmt: skip
    assert gunicorn.process.wait(20) == 1
    return gunicorn.log.read_text()


def test_a_taken_port_stops_the_start(tmp_path):
    """With one line that names it and what moves it; nothing is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        base = tmp_path / "metrics"
        log = refused(tmp_path, base, port)

        assert f"Error: cannot serve the metrics on 127.0.0.1:{port} (Address" in log
        assert "serve_metrics(port=…)" in log
        assert "Traceback" not in log
        assert list(base.iterdir()) == []


def test_no_place_for_the_files_stops_the_start(tmp_path):
    """With one line that names it and what moves it."""
    (tmp_path / "file").touch()
    base = tmp_path / "file" / "metrics"
    log = refused(tmp_path, base, port=0)

    assert f"Error: cannot make the metrics directory in {base} (Not a directory)" in log
    assert "Traceback" not in log


def test_a_reload_moves_the_port(serve):
    """The conf file is read again at SIGHUP; where it says the same, nothing moves."""
    with serve("-w", "1") as service:
        get(service.port, "/pid")
        before = service.metrics_url
        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: service.scrape().total("gunicorn_worker_restarts_total") == 1, "reload")
        assert service.metrics_url == before

        port = free_port()
        service.conf.write_text(service.conf.read_text() + f"\nserve_metrics(port={port})\n")
        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: port_answers(port), "the metrics to move")

        url = f"http://127.0.0.1:{port}/metrics"
        assert scrape(url).total("flask_http_request_total") == 1
        assert not port_answers(urlsplit(before).port)

        with socket.create_server(("127.0.0.1", 0)) as taken:
            text = service.conf.read_text().replace(str(port), str(taken.getsockname()[1]))
            service.conf.write_text(
                f"{text}\n# another size: else Python may take what it compiled\n"
            )
            os.kill(service.pid, signal.SIGHUP)
            poll_until(lambda: "Metrics are still at" in service.log(), "the taken port to be met")

        assert scrape(url).total("flask_http_request_total") == 1


def test_a_reload_can_open_and_close_the_port(serve):
    """From no port at all to one, and back."""
    port = free_port()
    with serve("-w", "1", conf="serve_metrics(port=None)\n") as service:
        get(service.port, "/pid")
        without = service.conf.read_text()
        service.conf.write_text(f"{without}serve_metrics(port={port})\n")
        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: port_answers(port), "the metrics to be served")
        found = scrape(f"http://127.0.0.1:{port}/metrics")
        assert found.total("flask_http_request_total") == 1

        service.conf.write_text(without)
        os.kill(service.pid, signal.SIGHUP)
        poll_until(lambda: not port_answers(port), "the port to be closed")


def test_a_new_arbiter_takes_over(serve):
    """SIGUSR2 starts it beside the old one, which has the port until it goes."""
    with serve("-w", "1", conf=f"serve_metrics(port={free_port()})\n") as service:
        get(service.port, "/pid")
        url, before = service.metrics_url, service.workers()
        os.kill(service.pid, signal.SIGUSR2)
        new = poll_until(lambda: service.workers() - before, "the new arbiter").pop()
        poll_until(lambda: service.log().count("Booting worker") == 2, "its worker")
        assert scrape(url).total("flask_http_request_total") == 1

        service.gunicorn.stop()
        try:
            poll_until(lambda: service.log().count("Metrics at: ") == 2, "the port to be free")
            assert scrape(url).value("gunicorn_workers") == 1
            assert scrape(url).total("flask_http_request_total") == 0
        finally:
            os.kill(new, signal.SIGTERM)
            poll_until(lambda: not port_answers(urlsplit(url).port), "the new arbiter to end")


def test_gevent_patched_in_the_conf_file(serve):
    """Then the arbiter's threads are greenlets, and the port is served all the same."""
    conf = "from gevent import monkey\nmonkey.patch_all()\n"
    with serve("-w", "1", "-k", "gevent", conf=conf) as service:
        assert get(service.port, "/pid").status == 200
        before = service.scrape()
        assert before.total("flask_http_request_total") == 1

        for _ in range(50):
            service.scrape()
        used = "gunicorn_worker_cpu_seconds_total"
        assert service.scrape().total(used) - before.total(used) < 0.2  # it serves none of them


def test_metrics_without_a_port(serve):
    """Then the app shows all workers' metrics on a path of its own, if it is told to."""
    conf = "serve_metrics(port=None)\n"
    app = "support.service:create_app(path='/all')"
    with serve("-w", "2", conf=conf, app=app) as service:
        for _ in range(20):
            get(service.port, "/pid")

        found = scrape(f"http://127.0.0.1:{service.port}/all")
        assert found.value("flask_http_request_total", method="GET", status="200") == 20
        assert "Metrics at" not in service.log()


def test_gunicorn_without_the_hooks_is_warned(tmp_path):
    """Each worker then has figures of its own."""
    gunicorn = start_gunicorn(
        "-b", "127.0.0.1:0", "--no-control-socket", "support.service:create_app()",
        log=tmp_path / "log", environment={"PYTHONPATH": "tests"},
    )  # fmt: skip
    try:
        poll_until(lambda: "metrics of one worker only" in gunicorn.log.read_text(), "a warning")
    finally:
        gunicorn.stop()
