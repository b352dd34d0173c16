"""Where a module defines a Flask app, read from its source: nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

APP_CLASSES = frozenset({"Flask", "APIFlask", "OpenAPI"})  # the latter of flask-openapi3
FACTORIES = ("create_app", "make_app", "application_factory", "create_application")
APP_NAMES = ("app", "application", "api", "server")
Function = ast.FunctionDef


@dataclass(frozen=True)
class AppDefinition:
    """A name in a module that is an app, or a function that creates one.

    *needs* are a factory's parameters without a default; *is_local* is true where the app that the
    function creates is not returned.
    """

    name: str
    line: int
    is_factory: bool = False
    needs: tuple[str, ...] = ()
    is_local: bool = False

    @property
    def call(self) -> str:
        """What follows the colon in gunicorn's ``module:app``."""
        return f"{self.name}()" if self.is_factory else self.name


def app_definitions(path: Path) -> list[AppDefinition]:
    """Return what the module at *path* defines, apps before factories; [] if it is no Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    classes = _app_classes(tree)
    functions = list(_factories(tree, classes))
    callable_names = {*FACTORIES, *(f.name for f in functions if not f.is_local)} | classes
    apps = list(_assigned(tree, callable_names))
    if path.stem == "wsgi":
        apps += _imported(tree)
    return sorted(apps, key=_order) + sorted(functions, key=_order)


def _order(found: AppDefinition) -> tuple[bool, int]:
    usual = (*APP_NAMES, *FACTORIES)
    rank = usual.index(found.name) if found.name in usual else len(usual)
    return found.is_local, rank


def _app_classes(tree: ast.Module) -> set[str]:
    """Return the names that `Flask` and its subclasses have in a module."""
    names = set(APP_CLASSES)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname for a in node.names if a.name in APP_CLASSES and a.asname}
        elif isinstance(node, ast.ClassDef) and any(_name(base) in names for base in node.bases):
            names.add(node.name)
    return names


def _name(node: ast.AST) -> str:
    """Return the last name of ``a``, ``b.a`` or a call of them."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, those in branches too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for block in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, block, []))


def _assigned(tree: ast.Module, makers: set[str]) -> Iterator[AppDefinition]:
    for node in _statements(tree.body):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if _name(node.value) in makers:
            for target in targets:
                if isinstance(target, ast.Name):
                    yield AppDefinition(target.id, node.lineno)


def _imported(tree: ast.Module) -> Iterator[AppDefinition]:
    """Yield apps that a module imports from where they are made, as ``wsgi.py`` does."""
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) in APP_NAMES:
                    yield AppDefinition(alias.asname or alias.name, node.lineno)


def _factories(tree: ast.Module, classes: set[str]) -> Iterator[AppDefinition]:
    for node in _statements(tree.body):
        if isinstance(node, Function):
            makes = any(isinstance(n, ast.Call) and _name(n) in classes for n in ast.walk(node))
            returns = any(isinstance(n, ast.Return) and n.value for n in _own_nodes(node))
            if makes or (returns and node.name in FACTORIES):
                yield AppDefinition(node.name, node.lineno, True, _needs(node), not returns)


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield a function's nodes without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _needs(function: Function) -> tuple[str, ...]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return tuple(a.arg for a in [*required, *(a for a, default in keywords if default is None)])
