import os

from flask import Flask


def create_app(test_config=None):
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(SECRET_KEY="dev", DATABASE=os.path.join(app.instance_path, "b.sqlite"))
    if test_config is None:
        app.config.from_pyfile("config.py", silent=True)
    else:
        app.config.from_mapping(test_config)
    os.makedirs(app.instance_path, exist_ok=True)

    @app.route("/hello")
    def hello():
        return "Hello, World!"

    @app.route("/threads")
    def threads():
        return [{"id": 1, "title": "first"}, {"id": 2, "title": "second"}]

    @app.route("/threads/<int:thread_id>")
    def thread(thread_id):
        return {"id": thread_id}

    return app
