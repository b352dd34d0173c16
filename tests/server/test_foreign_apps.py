"""Apps as their frameworks' documentation writes them, unchanged: what does each need?

One environment for each, as in its own project, with the requirements in ``APPS`` and swarmscope's
server end; served with the conf module. 20 requests are sent and 20 are counted by their routes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from support.environments import programs_of
from support.gunicorn import running_gunicorn
from support.scraping import scrape
from support.timed_client import get
from support.waiting import free_port, poll_until

TOTAL = "flask_http_request_total"
COUNT = "flask_http_request_duration_seconds_count"
UNMEASURED = "no Flask app was found behind app:app"


@dataclass(frozen=True)
class ForeignApp:
    """A project: what it installs, its code, what is requested, and by which rule that counts."""

    requirements: tuple[str, ...]
    code: str
    path: str
    rule: str
    target: str = "app:app"
    options: tuple[str, ...] = ()


APPS = {
    "single file": ForeignApp((), """
from flask import Flask
app = Flask(__name__)

@app.route("/")
def hello_world():
    return "<p>Hello, World!</p>"
""", "/", "/"),
    "flask-restx": ForeignApp(("flask-restx", "setuptools<81"), """
from flask import Flask
from flask_restx import Resource, Api
app = Flask(__name__)
api = Api(app)

@api.route("/hello")
class HelloWorld(Resource):
    def get(self):
        return {"hello": "world"}
""", "/hello", "/hello"),
    "flask-smorest": ForeignApp(("flask-smorest", "flask-sqlalchemy"), """
import marshmallow as ma
from flask import Flask
from flask.views import MethodView
from flask_smorest import Api, Blueprint
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Mapped, mapped_column

app = Flask(__name__)
app.config.update(API_TITLE="My API", API_VERSION="v1", OPENAPI_VERSION="3.0.2",
                  SQLALCHEMY_DATABASE_URI="sqlite://")
api = Api(app)
db = SQLAlchemy(app)

class Pet(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

class PetSchema(ma.Schema):
    id = ma.fields.Int(dump_only=True)
    name = ma.fields.String()

blp = Blueprint("pets", "pets", url_prefix="/pets")

@blp.route("/<int:pet_id>")
class PetById(MethodView):
    @blp.response(200, PetSchema)
    def get(self, pet_id):
        return db.session.get(Pet, pet_id)

api.register_blueprint(blp)
with app.app_context():
    db.create_all()
    db.session.add(Pet(id=1, name="Rex"))
    db.session.commit()
""", "/pets/1", "/pets/<int:pet_id>"),
    "flask-sock": ForeignApp(("flask-sock",), """
from flask import Flask
from flask_sock import Sock
app = Flask(__name__)
sock = Sock(app)

@app.route("/")
def index():
    return "index"

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())
""", "/", "/", options=("--threads", "8")),
    "flask-socketio": ForeignApp(("flask-socketio", "simple-websocket"), """
from flask import Flask
from flask_socketio import SocketIO
app = Flask(__name__)
socketio = SocketIO(app)

@app.route("/")
def index():
    return "index"

@socketio.on("message")
def handle_message(data):
    print(data)
""", "/", "/", options=("--threads", "8")),
    "apscheduler": ForeignApp(("flask-apscheduler", "setuptools<81"), """
from flask import Flask
from flask_apscheduler import APScheduler
app = Flask(__name__)
scheduler = APScheduler()
scheduler.init_app(app)
scheduler.start()

@scheduler.task("interval", id="job", seconds=1)
def job():
    print("job")

@app.route("/")
def index():
    return "index"
""", "/", "/"),
    "celery": ForeignApp(("celery",), """
from celery import Celery, Task, shared_task
from flask import Flask

def celery_init_app(app):
    class FlaskTask(Task):
        def __call__(self, *args, **kwargs):
            with app.app_context():
                return self.run(*args, **kwargs)
    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app

@shared_task(ignore_result=False)
def add(a, b):
    return a + b

def create_app():
    app = Flask(__name__)
    app.config.from_mapping(CELERY=dict(task_always_eager=True, task_store_eager_result=False))
    celery_init_app(app)

    @app.get("/add/<int:a>/<int:b>")
    def start(a, b):
        return {"result": add.delay(a, b).get()}

    return app
""", "/add/1/2", "/add/<int:a>/<int:b>", "app:create_app()"),
    "httpbin": ForeignApp(
        ("httpbin", "setuptools<81"), "", "/anything", "/anything", "httpbin:app"
    ),
}  # fmt: skip
CLOSURE = """
from flask import Flask

def make():
    apps = [Flask("a"), Flask("b")]
    for one in apps:
        one.add_url_rule("/", methods=["POST"], view_func=lambda: "posted")
    def application(environ, start_response):
        return load()[0](environ, start_response)
    return application

def load(made=[]):
    if not made:
        made.extend([Flask("late"), Flask("later")])
    return made

app = make()
"""


@pytest.fixture
def serve(tmp_path):
    """Return what serves a project: its gunicorn, and its metrics' address."""

    def serve_(programs, code, *arguments):
        project = tmp_path / "project"
        project.mkdir()
        (project / "app.py").write_text(code)
        port = free_port()
        environment = {"SWARMSCOPE_METRICS_PORT": str(port)}
        options = ("-c", "python:swarmscope.server.serve", *arguments)
        return running_gunicorn(
            *options, log=tmp_path / "log", directory=project, environment=environment,
            programs=programs,
        ), f"http://127.0.0.1:{port}/metrics"  # fmt: skip

    return serve_


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", APPS)
def test_every_request_is_counted_by_its_route(serve, tmp_path, name):
    """With no change of code, whatever the framework."""
    app = APPS[name]
    programs = programs_of(tmp_path / "environment", "3.11", "gunicorn", *app.requirements)
    running, metrics = serve(programs, app.code, "--workers", "2", *app.options, app.target)
    with running as server:
        for _ in range(20):
            assert get(server.port, app.path).status == 200

        poll_until(lambda: scrape(metrics).total(TOTAL) == 20, "20 requests to be counted")
        assert scrape(metrics).total(COUNT, url_rule=app.rule, status="200") == 20


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_an_app_that_cannot_be_found_is_served_all_the_same(serve, tmp_path):
    """One line says what to do."""
    programs = programs_of(tmp_path / "environment", "3.11", "gunicorn")
    running, metrics = serve(programs, CLOSURE, "--workers", "2", "app:app")
    with running as server:
        for _ in range(20):
            assert get(server.port, "/").status == 404

        assert scrape(metrics).total(TOTAL) == 0
        poll_until(lambda: server.log.read_text().count(UNMEASURED) == 1, "one line that says so")
