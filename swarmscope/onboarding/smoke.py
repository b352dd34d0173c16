"""Calls each request of a mix once, and leaves out what fails."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace

from swarmscope.onboarding.mix import Mix, Request

SECONDS = 10.0  # for one request


def smoked(mix: Mix, url: str) -> tuple[Mix, dict[str, str]]:
    """Return *mix* without the requests that fail at *url*, and why each failed, by its name."""
    troubles = [_trouble(request, url) for request in mix.requests]
    working = [r for r, trouble in zip(mix.requests, troubles, strict=True) if not trouble]
    failed = {
        f"{request.route.method} {request.route.rule}": trouble
        for request, trouble in zip(mix.requests, troubles, strict=True)
        if trouble
    }
    return replace(mix, requests=working), failed


def _trouble(request: Request, url: str) -> str:
    """Return why a request fails, "" if it does not."""
    body = None if request.route.body is None else json.dumps(request.route.body).encode()
    call = urllib.request.Request(
        url + request.example,
        data=body,
        method=request.route.method,
        headers={"Accept": "*/*"} | ({"Content-Type": "application/json"} if body else {}),
    )
    try:
        with urllib.request.urlopen(call, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
