import sqlite3

import click
from flask import current_app, g


def get_db():
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"])
        g.db.row_factory = sqlite3.Row
    return g.db


def close_db(error=None):
    if (db := g.pop("db", None)) is not None:
        db.close()


@click.command("init-db")
def init_db_command():
    """Create the tables, and a first post."""
    with current_app.open_resource("schema.sql") as file:
        get_db().executescript(file.read().decode("utf8"))
    click.echo("Initialized the database.")


def init_app(app):
    app.teardown_appcontext(close_db)
    app.cli.add_command(init_db_command)
