"""What ``--from`` names: an OpenAPI description or a service's metrics, in a file or at a URL."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from swarmscope.onboarding.errors import Unclear

SECONDS = 15
MAX_BYTES = 50_000_000


def read_source(source: str) -> str:
    """Return the text at *source*; raises `Unclear` if it cannot be read."""
    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=SECONDS) as response:
                text: bytes = response.read(MAX_BYTES)
        else:
            text = Path(source).read_bytes()
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise Unclear(f"cannot read {source}: {reason}") from error
    return text.decode("utf-8", "replace").lstrip("\ufeff")


def is_openapi(text: str, source: str) -> bool:
    """Return whether *text* is JSON; raises `Unclear` for OpenAPI in YAML."""
    start = text.lstrip()
    if start.startswith(("openapi:", "swagger:", "---")):
        raise Unclear(f"{source} is YAML; only JSON is supported: convert it with `yq -o json`")
    return start.startswith("{")
