"""Every error is JSON, whoever raises it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "QUERY", "BREW"])
@pytest.mark.parametrize("path", ["/tests", "/health", "/health/ready", "/openapi.json"])
def test_a_wrong_method_is_told_the_right_ones(client, method, path):
    """405 has an Allow header."""
    answer = client.open(path, method=method)

    assert answer.status_code == 405
    assert answer.json["error"] == "Method Not Allowed"
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/", "/test", "/tests/", "//tests", "/tests/1", "/health/", "/tests%00", "/%ff", "/é"]
)
def test_an_unknown_path_is_json_too(client, path):
    """No redirect, no HTML."""
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.mimetype == "application/json"
    assert answer.json["error"] == "Not Found"


def test_a_defect_is_json_without_its_details(app, client, caplog):
    """The client learns nothing of the code, the log everything."""
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def defect(*_: object) -> None:
        raise RuntimeError("secret")

    app.extensions["storage"].page = defect
    answer = client.get("/tests")

    assert (answer.status_code, answer.mimetype) == (500, "application/json")
    assert answer.json["error"] == "Internal Server Error"
    assert "secret" not in answer.text
    assert "RuntimeError: secret" in caplog.text


def test_options_lists_the_methods(client):
    """OPTIONS is no error."""
    answer = client.options("/tests")

    assert answer.status_code == 200
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
