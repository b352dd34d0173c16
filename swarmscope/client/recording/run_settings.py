"""What a run was started with, by the UI's form or the command line; without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from locust.env import Environment

from swarmscope.redaction import HIDDEN, scrub_arguments, scrub_url

MAX_CHARACTERS = 1000  # of one value


def settings_of(
    environment: Environment, shown: Mapping[str, bool], secrets: tuple[str, ...], first: bool
) -> dict[str, Any]:
    """Return the settings of the run that starts now; *first* of this process.

    *shown* are the form's options beyond Locust's own, and whether each is a secret.
    """
    options = vars(environment.parsed_options)
    hidden = [options.get(name) for name, secret in shown.items() if secret]
    secrets = (*secrets, *(value for value in hidden if isinstance(value, str)))
    shape = environment.shape_class
    steers = shape is None or shape.use_common_options
    return {
        "users": options.get("users", options.get("num_users")) if steers else None,
        "spawn_rate": options.get("spawn_rate") if steers else None,
        "run_time": options.get("run_time") if _has_end(environment, options, first) else None,
        "host": scrub_url(environment.host) if environment.host else None,
        "user_classes": sorted(each.__name__ for each in environment.user_classes),
        "shape": type(shape).__name__ if shape else None,
        **{
            name: HIDDEN if secret and options.get(name) else plain(options.get(name), secrets)
            for name, secret in shown.items()
        },
    }


def _has_end(environment: Environment, options: Mapping[str, Any], first: bool) -> bool:
    """Return whether the run time holds: Locust keeps an earlier one where the field is empty.

    Before 2.47 Locust does not say so, and the run time of a run from the UI is unknown.
    """
    if environment.web_ui is None or (first and options.get("autostart")):
        return True
    return getattr(environment.web_ui, "_run_time_greenlet", None) is not None


def plain(value: Any, secrets: tuple[str, ...]) -> Any:
    """Return *value* as JSON can hold it and people may read it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and isfinite(value) and abs(value) < 2**53:
        return value
    if isinstance(value, list | tuple):
        return [plain(each, secrets) for each in value]
    return scrub_arguments([str(value)], secrets)[:MAX_CHARACTERS]


def as_json(settings: Mapping[str, Any]) -> str:
    """Return *settings* as a record of the journal holds them."""
    return json.dumps(settings, ensure_ascii=False, allow_nan=False)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return in words what the form changed during the run; '' if nothing."""
    changed = [f"{name} {now[name]}" for name in now if now[name] != before.get(name)]
    return f"changed in the UI: {', '.join(changed)}" if changed else ""
