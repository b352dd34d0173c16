"""Projects of Flask apps as people have them, written into a test's directory."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

APP = """
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def index():
        return "Welcome"
"""
FACTORY = """
    from flask import Flask

    def create_app(config=None):
        app = Flask(__name__)

        @app.get("/")
        def index():
            return "Welcome"

        return app
"""
SHOP = """
    from flask import Flask, request

    app = Flask(__name__)
    ITEMS = [{"id": 3, "name": "chair"}, {"id": 7, "name": "table"}]
    print("an app may print what it likes")

    @app.get("/")
    def index():
        return "<h1>Shop</h1>"

    @app.get("/health")
    def health():
        return "ok"

    @app.route("/login", methods=["GET", "POST"])
    def login():
        return "Who are you?"

    @app.get("/image")
    def image():
        return "", 406 if request.headers.get("Accept") == "*/*" else 200

    @app.get("/me")
    def me():
        return "log in first", 401

    @app.get("/items")
    def list_items():
        return {"items": ITEMS}

    @app.post("/items")
    def add_item():
        return ITEMS[0]

    @app.get("/items/<int:item_id>")
    def show_item(item_id):
        return next((item for item in ITEMS if item["id"] == item_id), ("no such item", 404))

    @app.get("/items/<int:item_id>/<any(small,large):size>")
    def picture(item_id, size):
        return size

    @app.get("/reports/<int:year>")
    def report(year):
        return str(year)
"""


def write_project(directory: Path, files: dict[str, str]) -> Path:
    """Write *files*, indented texts by path; return *directory*."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    return directory
