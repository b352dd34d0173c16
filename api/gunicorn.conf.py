"""gunicorn's settings for the API; started in the checkout's root, which is on the import path."""

import resource
import sys
from pathlib import Path

from api.settings import Settings

try:
    settings = Settings.from_environment()
except ValueError as error:
    sys.exit(str(error))

# A connection is a file, and a user of a swarm keeps one open: the soft limit is often 1,024.
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

bind = f"{settings.host}:{settings.port}"
backlog = 4096  # the kernel cuts it to net.core.somaxconn
workers = settings.workers
worker_class = settings.worker_class
threads = settings.threads if worker_class == "gthread" else 1  # more make gunicorn ignore "sync"
worker_connections = 20_000
keepalive = 75  # s; longer than a user waits between requests, or each of them reconnects
timeout = 30  # s without a sign of life from a worker
graceful_timeout = 8  # s; less than what Docker and supervisor wait before they kill
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a slow disk looks like a hang
control_socket_disable = True  # its path would be shared by all of a user's gunicorns
