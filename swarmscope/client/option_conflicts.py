"""Refuses to start when a scenario or plugin adds an option of the same name as one of ours.

Locust would log a traceback for the second one and carry on without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from locust import events
from locust.argument_parser import LocustArgumentParser

from swarmscope.client.options import GROUP_PREFIX

Add = Callable[[LocustArgumentParser], None]


def register(add: Add) -> None:
    """Add our options whenever Locust makes a parser, and refuse others of the same name."""

    def add_guarded(parser: LocustArgumentParser) -> None:
        try:
            add(parser)
        except argparse.ArgumentError as error:
            name = _option(error)
            _refuse(name, _who_names(name))
        _guard(parser)

    events.init_command_line_parser.add_listener(add_guarded)


def _guard(parser: Any) -> None:
    """Check what others add to *parser* and to its groups."""
    make_group = parser.add_argument_group

    def add_argument_group(*arguments: Any, **options: Any) -> Any:
        group = make_group(*arguments, **options)
        group.add_argument = _guarded(parser, group.add_argument)
        return group

    parser.add_argument = _guarded(parser, parser.add_argument)
    parser.add_argument_group = add_argument_group


def _guarded(parser: Any, add: Callable[..., Any]) -> Callable[..., Any]:
    def add_argument(*names: Any, **options: Any) -> Any:
        taken = parser._option_string_actions
        ours = [name for name in names if name in taken and _is_ours(parser, taken[name])]
        if ours:
            frame = sys._getframe(1)
            _refuse(ours[0], f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return add(*names, **options)

    return add_argument


def _is_ours(parser: Any, action: argparse.Action) -> bool:
    groups = (group for group in parser._action_groups if action in group._group_actions)
    return any((group.title or "").startswith(GROUP_PREFIX) for group in groups)


def _option(error: argparse.ArgumentError) -> str:
    """Return the option that *error*, a conflict, names."""
    return str(error.argument_name or "").split("/")[0]


def _who_names(option: str) -> str:
    """Return the place of the listener that names *option*, as far as it can be found."""
    for handler in events.init_command_line_parser._handlers:
        code = getattr(handler, "__code__", None)
        if code and option in code.co_consts:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return "the scenario or a plugin"


def _refuse(option: str, where: str) -> NoReturn:
    raise SystemExit(
        f"{option} is an option of swarmscope, and {where} adds another of the same name: rename it"
    )
