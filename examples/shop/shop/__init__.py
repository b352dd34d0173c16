"""A small shop: a catalogue, accounts, orders, thumbnails and an export, as a JSON API."""

from __future__ import annotations

from typing import Any

from flask import Flask

from . import accounts, catalogue, database, export, orders, pricing, thumbnails

DEFAULTS = {
    "DATABASE_URL": "sqlite:///shop.db",
    "SECRET_KEY": "dev",
    "PASSWORD_HASH": "pbkdf2:sha256:2000",  # of seeded customers; "scrypt" takes far more CPU time
    "PRICING_URL": "http://127.0.0.1:5001",
    "PRICING_TIMEOUT": 2.0,  # seconds
    "POOL_SIZE": 8,  # database connections of each process
    "N_PLUS_ONE": False,  # one query for each order and each of its lines
    "HOT_ROW": False,  # the stock's row is locked while the pricing service is asked
    "THUMBNAIL_MS": 3,  # CPU time of a thumbnail
    "EXPORT_BATCH": 500,  # orders per query of the export
}


def create_app(**settings: Any) -> Flask:
    """Create the shop: the defaults, then ``SHOP_*`` of the environment, then *settings*."""
    app = Flask(__name__)
    app.config.from_mapping(DEFAULTS)
    app.config.from_prefixed_env("SHOP")
    app.config.from_mapping(settings)

    database.init_app(app)
    pricing.init_app(app)
    for module in (catalogue, thumbnails, accounts, orders, export):
        app.register_blueprint(module.bp)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    return app
