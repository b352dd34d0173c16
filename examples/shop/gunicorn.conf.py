"""gunicorn's settings for the shop: ``gunicorn 'shop:create_app()'``."""

import subprocess
import sys

bind = "127.0.0.1:5000"
workers = 2
threads = 8
keepalive = 30  # s; longer than a shopper's pauses


def on_starting(server: object) -> None:
    """Create and fill the database of a new shop, before workers start."""
    subprocess.run([sys.executable, "-m", "flask", "--app", "shop", "init-db"], check=True)
