"""A project whose revisions are compared, and git as somebody's."""

from __future__ import annotations

import subprocess
from pathlib import Path

SHOP = """
    import time
    from flask import Flask

    app = Flask(__name__)

    @app.get("/items")
    def items():
        time.sleep(0.001)
        return "chairs"
"""
SCENARIO = """
    from locust import HttpUser, constant_throughput, task

    class Shopper(HttpUser):
        wait_time = constant_throughput(20)

        @task
        def list_items(self):
            self.client.get("/items")
"""
FILES = {
    "shop.py": SHOP,
    "locustfile.py": SCENARIO,
    "swarmscope.toml": '[app]\nwsgi = "shop:app"\n',
    ".gitignore": ".swarmscope/\n__pycache__/\n",
}


def git(directory: Path, *arguments: str) -> str:
    """Run git as somebody; return what it prints."""
    somebody = ("-c", "user.name=Somebody", "-c", "user.email=somebody@shop.example")
    command = ["git", *somebody, *arguments]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout
