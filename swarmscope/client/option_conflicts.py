"""Refuses a start in which two want one option: the loser would never learn what it was given.

Locust logs the traceback of whoever came second and goes on without that option.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from locust import events
from locust.argument_parser import LocustArgumentParser

OURS = "swarmscope - "  # how the titles of our groups begin
Add = Callable[[LocustArgumentParser], None]


def register(*adders: Add) -> None:
    """Add options by *adders* whenever Locust makes a parser, and let nobody take one of them."""

    def add_all(parser: LocustArgumentParser) -> None:
        for add in adders:
            try:
                add(parser)
            except argparse.ArgumentError as error:
                name = _option(error)
                _refuse(name, _who_names(name))
        _guard(parser)

    events.init_command_line_parser.add_listener(add_all)


def _guard(parser: Any) -> None:
    """Watch over what others add to *parser*, and to groups that they make of it."""
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
    return any((group.title or "").startswith(OURS) for group in groups)


def _option(error: argparse.ArgumentError) -> str:
    """Return the option that *error*, a conflict, is about."""
    return str(error.argument_name or "").split("/")[0]


def _who_names(option: str) -> str:
    """Return where the listener is that names *option*, as far as that can be seen."""
    for handler in events.init_command_line_parser._handlers:
        code = getattr(handler, "__code__", None)
        if code and option in code.co_consts:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return "the scenario or a plugin"


def _refuse(option: str, where: str) -> NoReturn:
    raise SystemExit(
        f"{option} is an option of swarmscope, and {where} adds another of that name: rename it"
    )
