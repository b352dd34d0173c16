"""Settings: one variable each, a default each, one line when a value is bad."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from api.settings import Settings, available_cpus

HOME = "SWARMSCOPE_HOME"


def test_defaults(tmp_path):
    """They are those of the design; an empty variable, as Compose passes it, is an absent one."""
    expected = Settings(
        database_url=f"sqlite:///{tmp_path}/api/api.sqlite3",
        host="127.0.0.1",
        port=5000,
        metrics_port=9102,
        workers=available_cpus(),
        worker_class="gevent",
        threads=16,
    )

    empty = {f"API_{field.name.upper()}": "" for field in fields(Settings)}
    assert Settings.from_environment({HOME: str(tmp_path)}) == expected
    assert Settings.from_environment({HOME: str(tmp_path), **empty}) == expected
    assert (tmp_path / "api").is_dir()


def test_every_setting_is_read():
    """Each field has the variable of its name."""
    environment = {
        "API_DATABASE_URL": "postgresql://u@h:5433/d?passfile=/f",
        "API_HOST": "::1",
        "API_PORT": "5001",
        "API_METRICS_PORT": "9103",
        "API_WORKERS": "3",
        "API_WORKER_CLASS": "gthread",
        "API_THREADS": "7",
    }

    settings = Settings.from_environment(environment)

    given = {
        f"API_{field.name.upper()}": str(getattr(settings, field.name))
        for field in fields(settings)
    }
    assert given == environment


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("API_PORT", "0"),
        ("API_PORT", "65536"),
        ("API_PORT", "abc"),
        ("API_PORT", "-1"),
        ("API_PORT", "５"),
        ("API_PORT", "1" * 5000),
        ("API_METRICS_PORT", "9102.0"),
        ("API_WORKERS", "0"),
        ("API_WORKERS", "two"),
        ("API_THREADS", "1001"),
        ("API_WORKER_CLASS", "tornado"),
        ("API_DATABASE_URL", "mysql://root:s3cret@localhost/x"),
        ("API_DATABASE_URL", "s3cret"),
        ("API_DATABASE_URL", "sqlite://"),
        ("API_DATABASE_URL", "sqlite:///:memory:"),
        ("API_DATABASE_URL", "postgresql://u:s3cret@h:port/d"),
        ("API_DATABASE_URL", "sqlite:////proc/s/api.sqlite3"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(name, text):
    """And no part of a database's URL, which may have a password."""
    with pytest.raises(ValueError, match=name) as raised:
        Settings.from_environment({HOME: "/nowhere", name: text})

    assert "\n" not in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_example_lists_every_setting_with_its_default(root, tmp_path):
    """What is copied from .env.example and uncommented changes nothing."""
    example = dict(re.findall(r"^#(API_\w+)=(.*)$", (root / ".env.example").read_text(), re.M))
    home = str(tmp_path)

    assert example.keys() == {f"API_{field.name.upper()}" for field in fields(Settings)}
    defaults = Settings.from_environment({HOME: home})
    assert Settings.from_environment({HOME: home, **example}) == defaults
