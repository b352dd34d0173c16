"""What a Dockerfile says, as Docker reads it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from swarmscope.onboarding.image_facts import ImageFacts, of_dockerfile

SLIM = """
    FROM python:3.13-slim AS build
    ENV A=1
    RUN pip install --prefix /install -r requirements.txt
    CMD ["not", "this"]

    FROM build
    # a comment
    ENV PORT=8000 \\
        # inside
        GUNICORN_CMD_ARGS="--workers=2 --bind=0.0.0.0:8000"
    EXPOSE 8000/tcp 8001
    USER 1000:1000
    HEALTHCHECK --interval=5s CMD curl localhost
    ENTRYPOINT ["tini", "--"]
    CMD gunicorn -c conf.py shop:app
"""


def test_the_last_stage_counts() -> None:
    """And what it inherits from the stage that it is built from."""
    assert of_dockerfile(dedent(SLIM)) == ImageFacts(
        entrypoint=["tini", "--"],
        command=("/bin/sh", "-c", "gunicorn -c conf.py shop:app"),
        environment={
            "A": "1",
            "PORT": "8000",
            "GUNICORN_CMD_ARGS": "--workers=2 --bind=0.0.0.0:8000",
        },
        ports=(8000, 8001),
        user="1000",
        has_healthcheck=True,
        has_python=True,
    )


@pytest.mark.parametrize(
    ("text", "has_python"),
    [
        ("FROM alpine\nRUN apk add python3", True),
        ("FROM golang:1.26 AS build\nRUN pip install x\nFROM scratch\nCMD ['/app']", False),
        ("from --platform=linux/amd64 registry.example/python:3.13\ncmd x", True),
    ],
)
def test_whether_there_is_python(text: str, has_python: bool) -> None:
    """By the image it is built from, or by what is run."""
    assert of_dockerfile(text).has_python is has_python
