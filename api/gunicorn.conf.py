"""gunicorn's settings for the API, which is started in the root of the checkout."""

import atexit
import gc
import resource
import sys
from pathlib import Path

from api.settings import Settings
from swarmscope.server.gunicorn import *  # noqa: F403  # hooks

try:
    settings = Settings.from_environment()
except ValueError as error:
    sys.exit(str(error))

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"
backlog = 4096  # limited by the kernel's net.core.somaxconn
workers = settings.workers
worker_class = settings.worker_class
threads = settings.threads if worker_class == "gthread" else 1  # with more, gunicorn ignores "sync"
worker_connections = 20_000
keepalive = 75  # s; longer than a user's wait time, or each request would reconnect
timeout = 30  # s without a heartbeat of a worker
graceful_timeout = 5  # s; idle connections take all of it, and Docker and supervisord kill after 10
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a slow disk looks like a hang
control_socket_disable = True  # its path would be shared by all of a user's gunicorns

# Each user keeps a connection open, which is a file; the limit is often 1,024.
FILES = 65_536
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if 0 <= soft < FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard < 0 else min(FILES, hard), hard))

serve_metrics(settings.metrics_port, settings.host)  # noqa: F405


def post_worker_init(worker: object) -> None:
    """Collect garbage rarely, and never in what every request uses.

    Each open connection is many objects: Python's collector, which runs after every 700 new ones,
    sometimes stopped a worker with 5,000 connections for half a second. Matching a URL leaves eight
    objects of garbage, so 20,000 are some 2,500 requests; what is old is looked at every 1,000th
    time.
    """
    gc.freeze()
    atexit.register(gc.unfreeze)  # or frozen objects outlive modules that they need
    gc.set_threshold(20_000, 10, 100)


if worker_class == "gevent":
    import gevent

    def post_request(worker: object, req: object, environ: object, resp: object) -> None:
        """Yield to other connections.

        A client that sends its next request at once would be served again and again: with 500 such
        clients of one worker, p50 was 0.7 ms and p99 1.9 s; with this, 0.31 and 0.35 s.
        """
        gevent.sleep(0)
