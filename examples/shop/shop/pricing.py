"""Today's prices, which another service knows."""

from __future__ import annotations

from collections.abc import Iterable

import requests
from flask import Flask, current_app
from werkzeug.exceptions import ServiceUnavailable

from .models import Item


def init_app(app: Flask) -> None:
    """Give *app* a session, which keeps connections open."""
    app.extensions["pricing"] = requests.Session()


def quote(items: Iterable[Item]) -> dict[int, int]:
    """Return the price of each item in cents, by its id; 503 if the service does not answer."""
    session: requests.Session = current_app.extensions["pricing"]
    try:
        response = session.post(
            f"{current_app.config['PRICING_URL']}/quotes",
            json={str(item.id): item.list_price for item in items},
            timeout=current_app.config["PRICING_TIMEOUT"],
        )
        response.raise_for_status()
    except requests.RequestException as error:
        current_app.logger.warning("no prices: %s", error)
        raise ServiceUnavailable("there are no prices at the moment") from error
    return {int(item_id): price for item_id, price in response.json().items()}
