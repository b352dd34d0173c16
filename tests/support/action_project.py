"""A project whose pull requests the action checks: a Flask app that can be slowed down."""

from __future__ import annotations

from pathlib import Path

from support.projects import write_project

FILES = {
    "shop.py": """
        import os
        import time

        from flask import Flask

        app = Flask(__name__)

        @app.get("/items")
        def items():
            time.sleep(float(os.environ["SHOP_DELAY_S"]))
            return {"items": []}
    """,
    "locustfile.py": """
        from locust import HttpUser, between, task

        class Customer(HttpUser):
            wait_time = between(0.1, 0.5)  # at random: no bursts

            @task
            def items(self):
                self.client.get("/items")
    """,
    "gunicorn.conf.py": """
        threads = 8  # requests only sleep: they need not wait for each other
    """,
    "swarmscope.toml": """
        [app]
        name = "shop"
        wsgi = "shop:app"
    """,
}


def shop(directory: Path) -> Path:
    """Write the project; `SHOP_DELAY_S` in its environment is how long a request takes."""
    directory.mkdir()
    return write_project(directory, FILES)
