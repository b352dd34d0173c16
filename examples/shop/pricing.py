"""The service that knows today's prices; it takes ``PRICING_DELAY_MS`` to think."""

from __future__ import annotations

import time

from flask import Flask, request

app = Flask(__name__)
app.config["DELAY_MS"] = 5
app.config.from_prefixed_env("PRICING")


@app.post("/quotes")
def quotes() -> dict[str, int]:
    """Return a price for each item: ``{"17": 500}``, its list price in cents, becomes 475."""
    time.sleep(app.config["DELAY_MS"] / 1000)
    return {item: price * 95 // 100 for item, price in request.get_json().items()}


@app.get("/health")
def health() -> dict[str, str]:
    """Return 200 if the service can respond."""
    return {"status": "ok"}
