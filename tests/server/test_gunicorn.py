"""The hooks in real gunicorns: what is counted through all that can happen to workers."""

import os
import signal
import threading

import pytest
from support.scraping import scrape
from support.timed_client import get, get_all
from support.waiting import poll_until

TOTAL = "flask_http_request_total"
DURATION = "flask_http_request_duration_seconds"
IN_FLIGHT = "flask_http_requests_in_flight"
CLASSES = {
    "sync": ("-k", "sync"),
    "gthread": ("-k", "gthread", "--threads", "3"),
    "gevent": ("-k", "gevent"),
}


class Watch:
    """Scrapes all the time; its `drops` are counters that went backwards."""

    def __init__(self, service):
        self.scrapes, self.drops = 0, []
        self._url = service.metrics_url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()

    def _run(self):
        before = {}
        while not self._done.wait(0.15):
            now = scrape(self._url).counters()
            self.scrapes += 1
            self.drops += [(key, value, now.get(key)) for key, value in before.items()
                           if now.get(key, -1) < value]  # fmt: skip
            before = now


def restarts(service):
    return service.scrape().total("gunicorn_worker_restarts_total")


@pytest.mark.parametrize(
    ("worker_class", "preload", "requests"),
    [
        ("sync", False, 200),
        ("gthread", True, 200),
        ("gevent", False, 200),
        pytest.param("sync", False, 2000, marks=pytest.mark.proof),
        pytest.param("sync", True, 2000, marks=pytest.mark.proof),
        pytest.param("gthread", False, 2000, marks=pytest.mark.proof),
        pytest.param("gevent", True, 2000, marks=pytest.mark.proof),
    ],
)
def test_counts_are_exact_whatever_happens_to_workers(serve, worker_class, preload, requests):
    """No count is lost or doubled through a reload, a kill and ``max_requests``.

    Counters never go backwards, and there are no more files than workers that lived at once.
    """
    most = str(requests // 5)
    options = (*CLASSES[worker_class], *["--preload"] * preload, "-w", "2", "--max-requests", most)
    with serve(*options) as service, Watch(service) as watch:
        get_all(service.port, ["/pid"] * (requests // 4), clients=3)
        reloading = threading.Timer(0.1, os.kill, (service.pid, signal.SIGHUP))
        reloading.start()
        get_all(service.port, ["/pid"] * (requests // 4), clients=3)
        reloading.join()
        poll_until(lambda: restarts(service) >= 2, "new workers")
        before = service.workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        poll_until(lambda: not before & service.workers(), "killed workers to be gone")
        get_all(service.port, ["/sleep/1"] * (requests // 2), clients=3)

        found = service.scrape()
        assert found.value(TOTAL, method="GET", status="200") == requests
        assert found.total(TOTAL) == found.total(f"{DURATION}_count") == requests
        assert found.total(f"{DURATION}_count", url_rule="/sleep/<int:ms>") == requests // 2
        assert found.total(f"{DURATION}_bucket", le="+Inf") == requests
        assert found.total("flask_http_request_queue_seconds_count") == requests
        assert found.value(IN_FLIGHT) == 0
        # reload, kill, and one at least from max_requests, whose successor may yet be on its way
        poll_until(lambda: restarts(service) >= 2 + 2 + 1, "the restarts to be counted")
        kinds = {name.rpartition("_")[0] for name in service.files()}
        assert len(service.files()) <= len(kinds) * 5  # two workers, twice at a reload; the arbiter
    assert watch.scrapes > 3
    assert watch.drops == []


def test_a_worker_that_is_killed_at_work_loses_no_answered_request(serve):
    """What clients got an answer to is counted; in flight remains only what is."""
    with serve("-w", "2") as service:
        killing = threading.Timer(0.3, lambda: os.kill(min(service.workers()), signal.SIGKILL))
        killing.start()
        answered, failed = 0, 0
        for _ in range(200):
            try:
                answered += get(service.port, "/sleep/3").status == 200
            except OSError:
                failed += 1
        killing.join()
        assert failed <= 1

        counted = service.scrape().total(TOTAL)
        assert answered <= counted <= answered + failed
        assert service.scrape().value(IN_FLIGHT) == 0


def test_nothing_of_a_dead_worker_stays_in_gauges(serve):
    """A request dies with its worker: it was in flight, and no longer is."""
    with serve("-w", "1") as service:
        with pytest.raises(OSError, match=r"closed|reset"):
            get(service.port, "/die")

        poll_until(lambda: restarts(service) == 1, "the worker to be replaced")
        found = service.scrape()
        assert found.value(IN_FLIGHT) == 0
        assert found.value("gunicorn_workers") == 1
        assert found.total("flask_exporter_info") <= 1


def test_a_worker_that_takes_too_long_is_counted(serve):
    """gunicorn aborts it; the client's answer is the server's 500."""
    with serve("-w", "1", "--timeout", "1") as service:
        assert get(service.port, "/burn/60000").status == 500

        poll_until(lambda: restarts(service) == 1, "the worker to be replaced")
        found = service.scrape()
        rule = "/burn/<int:ms>"
        assert found.value(f"{DURATION}_count", method="GET", status="500", url_rule=rule) == 1
        assert found.value(IN_FLIGHT) == 0


def test_more_and_fewer_workers(serve):
    """SIGTTIN and SIGTTOU: metrics follow the workers, counters stay, and it is no restart."""
    with serve("-w", "1") as service:
        get_all(service.port, ["/pid"] * 10, clients=2)
        os.kill(service.pid, signal.SIGTTIN)
        poll_until(lambda: service.scrape().value("gunicorn_workers") == 2, "a second worker")
        get_all(service.port, ["/pid"] * 10, clients=2)
        os.kill(service.pid, signal.SIGTTOU)
        poll_until(lambda: service.scrape().value("gunicorn_workers") == 1, "one worker again")
        get_all(service.port, ["/pid"] * 10, clients=2)

        found = service.scrape()
        assert found.total(TOTAL) == 30
        assert restarts(service) == 0
        memory = [v for (name, _), v in found.items() if name.endswith("resident_memory_bytes")]
        assert len(memory) == 1
        assert 10e6 < memory[0] < 500e6
        used = [v for (name, _), v in found.items() if name == "gunicorn_worker_cpu_seconds_total"]
        assert len(used) == 2
        assert all(seconds > 0 for seconds in used)


def test_cpu_time_of_workers(serve):
    """It grows by what a worker burns, and a worker's death takes nothing away."""
    with serve("-w", "1") as service:
        get(service.port, "/pid")
        before = service.scrape().total("gunicorn_worker_cpu_seconds_total")

        get(service.port, "/burn/400")
        burnt = service.scrape().total("gunicorn_worker_cpu_seconds_total") - before
        os.kill(min(service.workers()), signal.SIGKILL)
        poll_until(lambda: restarts(service) == 1, "the worker to be replaced")

        assert 0.02 < burnt < 0.6
        after = service.scrape().total("gunicorn_worker_cpu_seconds_total")
        assert after >= before + burnt


def test_the_backlog_is_what_no_worker_has_taken(serve):
    """One request is at work, the others wait in the kernel."""
    with serve("-w", "1") as service:
        get(service.port, "/pid")
        waiting = threading.Thread(
            target=get_all, args=(service.port, ["/sleep/300"] * 6), kwargs={"clients": 6}
        )
        waiting.start()
        seen = poll_until(
            lambda: service.scrape().value("gunicorn_backlog_connections") >= 4, "a backlog"
        )
        waiting.join()
        assert seen
        assert service.scrape().value("gunicorn_backlog_connections") == 0


@pytest.mark.parametrize("worker_class", ["gthread", "gevent"])
def test_children_of_workers_are_counted(serve, worker_class):
    """What a worker forks (multiprocessing) has files of its own, again by slot."""
    with serve("-w", "1", *CLASSES[worker_class]) as service:
        for _ in range(5):
            get(service.port, "/job")

        found = service.scrape()
        assert found.value("jobs_total") == found.total(TOTAL) == 5
        slots = {name.rpartition("_")[2] for name in service.files()}
        assert slots == {"0.db", "child0.db"}


def test_programs_of_workers_are_counted(serve):
    """What a worker starts anew (subprocess) counts in files of its own, which do not pile up."""
    with serve("-w", "1") as service:
        for expected in (1, 2):
            get(service.port, "/program")
            assert service.scrape().value("programs_total") == expected

        slots = {name.rpartition("_")[2] for name in service.files()}
        assert slots == {"0.db", "gone.db"}


def test_unix_sockets(serve, tmp_path):
    """All works but the backlog, which the kernel does not tell for them."""
    path = tmp_path / "service.sock"
    with serve("-w", "1", bind=f"unix:{path}") as service:
        get_all(path, ["/pid"] * 10, clients=2)

        found = service.scrape()
        assert found.total(TOTAL) == found.total("flask_http_request_queue_seconds_count") == 10
        assert "gunicorn_backlog_connections" not in {name for name, _ in found}


def test_the_directory_comes_and_goes_with_gunicorn(serve):
    """It is for the service's user alone, and nothing is left; not even of one that was killed."""
    with serve("-w", "1") as service:
        get(service.port, "/pid")
        (directory,) = service.base.glob("swarmscope-*")
        assert directory.stat().st_mode & 0o777 == 0o700
        assert {"counter_0.db", "histogram_0.db"} <= service.files()
    assert list(service.base.iterdir()) == []

    with serve("-w", "1") as service:
        (left,) = service.base.glob("swarmscope-*")
        os.kill(service.pid, signal.SIGKILL)
        service.gunicorn.process.wait()
        assert left.exists()
    os.utime(left, (0, 0))  # as if a while ago

    with serve("-w", "1") as service:
        (directory,) = service.base.glob("swarmscope-*")
        assert directory != left


def test_a_directory_in_use_is_left_alone(serve):
    """Two gunicorns under the same base do not take each other's files."""
    with serve("-w", "1") as first:
        (directory,) = first.base.glob("swarmscope-*")
        os.utime(directory, (0, 0))
        with serve("-w", "1") as second:
            get(second.port, "/pid")
            assert directory.exists()
        assert directory.exists()
