"""Calls each request of a mix once: which fail, and which are slow without any load."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException

from swarmscope.onboarding.mix import Mix, Request

SECONDS = 10.0  # for one request


@dataclass(frozen=True)
class Smoke:
    """What one call of each request showed; *mix* is without those that failed.

    By a request's name: *failed* says why, *lasted_s* how long each of the others took.
    """

    mix: Mix
    failed: Mapping[str, str]
    lasted_s: Mapping[str, float]


def smoked(mix: Mix, url: str) -> Smoke:
    """Call each request of *mix* once, at *url*."""
    failed: dict[str, str] = {}
    lasted_s: dict[str, float] = {}
    working = []
    for request in mix.requests:
        name = f"{request.route.method} {request.route.rule}"
        begin = time.monotonic()
        if trouble := _trouble(request, url):
            failed[name] = trouble
        else:
            lasted_s[name] = time.monotonic() - begin
            working.append(request)
    return Smoke(replace(mix, requests=working), failed, lasted_s)


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
        with urllib.request.urlopen(call, timeout=SECONDS) as response:
            response.read()
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except (OSError, ValueError, HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
