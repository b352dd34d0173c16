"""Finding the app: in which projects, and what is taken first."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.projects import APP, FACTORY, write_project

from swarmscope.onboarding.candidates import ProjectFiles

GUNICORN = "gunicorn -c conf.py --bind 0.0.0.0:8000 'shop:create_app()'"
COMPOSE_LIST = """
    services:
      web:
        build: .
        command:
          - gunicorn
          - --bind=0.0.0.0:8000
          - shop:create_app()
"""
COMPOSE_FOLDED = """
    services:
      web:
        command: >
          sh -c "flask db upgrade &&
          gunicorn --bind 0.0.0.0:8000 shop.web:application"
        ports: ["8000:8000"]
"""
DOCKERFILE = """
    FROM python:3.12
    ENTRYPOINT ["gunicorn", "--config", "conf.py"]
    CMD ["shop:app"]
"""
SHELL = """
    #!/bin/sh
    flask db upgrade
    exec gunicorn -b :5000 --access-logfile - \\
        --error-logfile - shop:app
"""
CASES = {
    "one file": ({"app.py": APP}, "app:app", ""),
    "another name": ({"shop.py": APP.replace("app =", "web =")}, "shop:web", ""),
    "a factory": ({"shop/__init__.py": FACTORY}, "shop:create_app()", ""),
    "a factory in a package": (
        {"shop/__init__.py": "", "shop/main.py": FACTORY.replace("create_app", "build")},
        "shop.main:build()",
        "",
    ),
    "src": ({"src/shop/__init__.py": FACTORY}, "shop:create_app()", "src"),
    "a directory that is no package": ({"backend/app.py": APP}, "app:app", "backend"),
    "wsgi before what it imports": (
        {"wsgi.py": "from shop import app as application", "shop.py": APP},
        "wsgi:application",
        "",
    ),
    "a package before a file beside it": (
        {"pricing.py": APP, "shop/__init__.py": FACTORY},
        "shop:create_app()",
        "",
    ),
    "app.py before the package that it imports": (
        {"app.py": "from shop import create_app\napp = create_app()", "shop/__init__.py": FACTORY},
        "app:app",
        "",
    ),
    "a factory before a runner": (
        {"run.py": "from shop import create_app\napp = create_app()", "shop/__init__.py": FACTORY},
        "shop:create_app()",
        "",
    ),
    "a subclass": (
        {"shop.py": "import flask\nclass Shop(flask.Flask): ...\nweb = Shop(__name__)"},
        "shop:web",
        "",
    ),
    "in a branch": (
        {"shop.py": "import flask as f\ntry:\n    app = f.Flask(__name__)\nexcept OSError: ..."},
        "shop:app",
        "",
    ),
    "Procfile": (
        {"Procfile": f"web: {GUNICORN}", "app.py": APP, "shop/__init__.py": FACTORY},
        "shop:create_app()",
        "",
    ),
    "Dockerfile": ({"Dockerfile": DOCKERFILE, "app.py": APP, "shop.py": APP}, "shop:app", ""),
    "Dockerfile in shell form": (
        {"Dockerfile": f"FROM x\nCMD exec {GUNICORN}", "app.py": APP},
        "shop:create_app()",
        "",
    ),
    "compose": ({"compose.yaml": COMPOSE_LIST, "app.py": APP}, "shop:create_app()", ""),
    "compose, folded": (
        {"docker-compose.yml": COMPOSE_FOLDED, "app.py": APP},
        "shop.web:application",
        "",
    ),
    "script": ({"boot.sh": SHELL, "app.py": APP}, "shop:app", ""),
    "flask --app": (
        {"Makefile": "run:\n\tflask --app shop run --debug", "shop/__init__.py": FACTORY},
        "shop:create_app()",
        "",
    ),
    "waitress": (
        {"Procfile": "web: waitress-serve --call shop:make", "app.py": APP},
        "shop:make()",
        "",
    ),
    ".flaskenv": (
        {".flaskenv": "FLASK_APP=shop.py", "app.py": APP, "shop.py": APP},
        "shop:app",
        "",
    ),
    "ENV": (
        {"Dockerfile": "ENV FLASK_APP=shop:create_app", "app.py": APP, "shop/__init__.py": FACTORY},
        "shop:create_app()",
        "",
    ),
    "a command names the directory too": (
        {
            "Procfile": "web: gunicorn shop.main:app",
            "api/shop/__init__.py": "",
            "api/shop/main.py": APP,
        },
        "shop.main:app",
        "api",
    ),
}


@pytest.mark.parametrize(("files", "target", "root"), CASES.values(), ids=CASES)
def test_the_first_candidate(tmp_path: Path, files: dict[str, str], target: str, root: str) -> None:
    """What a project starts comes before what its source defines."""
    first = ProjectFiles(write_project(tmp_path, files), {}).candidates()[0]

    assert (first.target, first.root) == (target, root)


def test_the_environment_names_it(tmp_path: Path) -> None:
    """In the form of Flask's own command, which calls a factory."""
    project = ProjectFiles(
        write_project(tmp_path, {"app.py": APP, "shop/__init__.py": FACTORY}),
        {"FLASK_APP": "shop:create_app"},
    )

    assert [each.target for each in project.candidates()] == ["shop:create_app()", "app:app"]
    assert project.candidates()[0].where == "the environment: FLASK_APP=shop:create_app"


def test_what_is_not_the_project_is_not_searched(tmp_path: Path) -> None:
    """Environments, tests, hidden directories, comments."""
    files = {
        ".tox/app.py": APP,
        "env3/pyvenv.cfg": "",
        "env3/app.py": APP,
        "node_modules/x/app.py": APP,
        "tests/app.py": APP,
        ".flaskenv": "# FLASK_APP=old",
        "Procfile": "# web: gunicorn old:app\nweb: python main.py",
        "main.py": "print('no Flask here')",
        "broken.py": "from flask import Flask\napp = Flask(",
    }

    assert ProjectFiles(write_project(tmp_path, files), {}).candidates() == []
