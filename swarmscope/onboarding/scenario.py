"""A Locust file as a person would have written it, from the requests of a mix."""

from __future__ import annotations

import json
import keyword
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swarmscope.onboarding.item_ids import IdList
from swarmscope.onboarding.mix import Gap, Login, Mix, Request
from swarmscope.onboarding.routes import Argument

WIDTH = 88
RESERVED = frozenset(  # attributes of Locust's users
    {
        *("abstract", "client", "client_pool", "context", "environment", "fixed_count"),
        *("full_name", "fullname", "group", "host", "insecure", "max_redirects", "max_retries"),
        *("network_timeout", "on_start", "on_stop", "pool_manager", "proxy_host", "proxy_port"),
        *("start", "stop", "tasks", "wait", "wait_function", "wait_time", "weight"),
    }
)
MARK = "Written by `swarmscope init`"
HEAD = '''"""What users of {service} do: {origin}.

{mark}; edit it as you like. It also runs alone:

    locust -f {file} -H {host}
"""
'''
BEGINNING = '''

class {name}(HttpUser):
    """Someone who uses {service}."""

    wait_time = between(1, 2)
'''
LOGIN = """
    # TODO: fill in a test user if anything needs a login.
    # def on_start(self):
    #     self.client.post("{path}", {kind}={{"username": "…", "password": "…"}})
"""
IDS = '''
    def {one}(self):
        """Return an id out of a list that each user fetches once."""
        if not self.{several}:
            {fetch}
        return random.choice(self.{several})
'''


@dataclass(frozen=True)
class Origin:
    """What a scenario is about: *service* is a name, *text* says where its requests come from."""

    service: str
    text: str
    file: str = "locustfile.py"
    host: str = "http://127.0.0.1:5000"


class Scenario:
    """A Locust file for the requests of a mix; `text` is the whole file."""

    def __init__(self, mix: Mix, origin: Origin) -> None:
        """Choose the names of tasks, of methods that return ids, and of lists of values."""
        self._mix, self._origin = mix, origin
        self._ids: dict[IdList, str] = {}
        self._choices: dict[tuple[int | str, ...], str] = {}
        for request in mix.requests:
            for name, source in request.sources.items():
                if isinstance(source, IdList):
                    self._ids.setdefault(source, self._free(_id_name(name, source)))
                elif len(source) > 1:
                    self._choices.setdefault(source, self._free(_plural(name)).upper())

    def _free(self, name: str) -> str:
        """Return *name*, or with a number if another list has it."""
        taken = {*self._ids.values(), *(choice.lower() for choice in self._choices.values())}
        numbered = [name, *(f"{name}_{number}" for number in range(2, len(taken) + 3))]
        return next(each for each in numbered if each not in taken)

    @property
    def text(self) -> str:
        """The Locust file."""
        origin, login = self._origin, self._mix.login
        head = HEAD.format(
            mark=MARK,
            service=origin.service,
            origin=origin.text,
            file=origin.file,
            host=origin.host,
        )
        name = "".join(word.capitalize() for word in re.split(r"\W|_", origin.service)) + "User"
        return "".join(
            [
                head,
                *self._imports(),
                BEGINNING.format(
                    name=name if name.isidentifier() else "Visitor", service=origin.service
                ),
                *(f"    {_plural(one)} = ()\n" for one in self._ids.values()),
                _login(login) if login else "",
                *self._tasks(),
                *(_id_method(source, one) for source, one in self._ids.items()),
                *_gaps(self._mix.gaps),
            ]
        )

    def _imports(self) -> Iterator[str]:
        if self._ids or self._choices:
            yield "\nimport random\n"
        yield "\nfrom locust import HttpUser, between, task\n"
        if self._choices:
            yield "\n"
        for values, name in self._choices.items():
            yield f"{name} = {_literal(list(values))}\n"

    def _tasks(self) -> Iterator[str]:
        weights = _weights([request.route.weight for request in self._mix.requests])
        names = self._task_names()
        for request, name, weight in zip(self._mix.requests, names, weights, strict=True):
            yield f"\n    @task{f'({weight})' if weight > 1 else ''}\n    def {name}(self):\n"
            yield self._call(request)

    def _task_names(self) -> list[str]:
        """Return a name for each request: that of its code, if it is the only one of that name."""
        taken = {*RESERVED, *self._ids.values(), *map(_plural, self._ids.values())}
        names: list[str] = []
        short = Counter(_names(request)[0] for request in self._mix.requests)
        for request in self._mix.requests:
            possible = [name for name in _names(request) if short[name] < 2] or _names(request)
            numbered = (f"{possible[-1]}_{number}" for number in range(2, len(names) + 3))
            names.append(next(n for n in (*possible, *numbered) if n not in {*taken, *names}))
        return names

    def _call(self, request: Request) -> str:
        route = request.route
        arguments = [self._path(request)]
        if route.body is not None:
            arguments.append(f"json={_literal(route.body)}")
        if route.arguments or route.query:
            arguments.append(f"name={_literal(route.rule)}")
        call = f"        self.client.{route.method.lower()}"
        line = f"{call}({', '.join(arguments)})\n"
        if len(line) <= WIDTH + 1:
            return line
        inside = f"            {', '.join(arguments)}\n"
        if len(inside) > WIDTH + 1:
            inside = "".join(f"            {each},\n" for each in arguments)
        return f"{call}(\n{inside}        )\n"

    def _path(self, request: Request) -> str:
        """Return the path as a string, or an f-string where a part of it is chosen."""
        parts = [self._part(request, part) for part in request.route.parts]
        if not any(chosen for _, chosen in parts):
            return _literal("".join(text for text, _ in parts) + request.route.query)
        codes = [f"{{{text}}}" if chosen else _braced(text) for text, chosen in parts]
        return 'f"' + "".join(codes) + _braced(request.route.query) + '"'

    def _part(self, request: Request, part: str | Argument) -> tuple[str, bool]:
        """Return a part of a path and False, or the code that chooses it and True."""
        if isinstance(part, str):
            return part, False
        source = request.sources[part.name]
        if isinstance(source, IdList):
            return f"self.{self._ids[source]}()", True
        if len(source) == 1:
            return str(source[0]), False
        return f"random.choice({self._choices[source]})", True


def _id_method(source: IdList, one: str) -> str:
    """Return the code of the method *one* that returns an id from *source*."""
    several = _plural(one)
    items = f"self.client.get({_literal(source.path)}).json()"
    items += f"[{_literal(source.key)}]" if source.key is not None else ""
    field = _literal(source.field or "")
    ids = f"[item[{field}] for item in {items}]" if source.field else items
    lines = [f"self.{several} = {ids}"]
    if len(lines[0]) > WIDTH - 12 and source.field:
        lines = [f"items = {items}", f"self.{several} = [item[{field}] for item in items]"]
    return IDS.format(one=one, several=several, fetch="\n            ".join(lines))


def _login(login: Login) -> str:
    return LOGIN.format(path=login.path, kind="data" if login.is_form else "json")


def _gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    if gaps:
        yield "\n    # TODO: not called yet.\n"
    for gap in gaps:
        yield f"    #   {gap.route.method} {gap.route.rule}: {gap.reason}\n"


def _weights(shares: Sequence[float]) -> list[int]:
    """Return weights of whole percents, at least 1, without a common factor."""
    total = sum(shares)
    weights = [max(1, round(100 * share / total)) for share in shares]
    return [weight // math.gcd(*weights) for weight in weights]


def _names(request: Request) -> list[str]:
    """Return possible names of a task: of the view, with its blueprint, of the rule."""
    route = request.route
    words = re.findall(
        r"\w+", "".join(p if isinstance(p, str) else f" by_{p.name} " for p in route.parts)
    )
    of_rule = "_".join(words) or "index"
    short, full = route.name.rpartition(".")[2], route.name.replace(".", "_")
    possible = [short, full, of_rule, f"{route.method.lower()}_{of_rule}"]
    names = map(_snake_case, possible)
    return [name for name in names if name.isidentifier() and not keyword.iskeyword(name)]


def _snake_case(text: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"\W+", "_", snake).strip("_").lower()


def _id_name(argument: str, source: IdList) -> str:
    """Return the name of the method that returns an id for *argument*, such as ``item_id``."""
    if "_" in argument:
        return _snake_case(argument)
    thing = source.path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return _snake_case(f"{_singular(thing)}_{source.field or argument}")


def _singular(word: str) -> str:
    return re.sub(r"ies$", "y", word) if word.endswith("ies") else word.removesuffix("s")


def _plural(word: str) -> str:
    return re.sub(r"y$", "ie", word) + "s" if not word.endswith("s") else f"{word}es"


def _braced(text: str) -> str:
    """Return *text* as it is written in an f-string between double quotes."""
    return _quoted(text)[1:-1].replace("{", "{{").replace("}", "}}")


def _quoted(text: str) -> str:
    """Return *text* as a string between double quotes, control characters escaped."""
    return json.dumps(text, ensure_ascii=False)


def _literal(value: Any) -> str:
    """Return a JSON value as Python code with double quotes."""
    if isinstance(value, str):
        return repr(value) if '"' in value and "'" not in value else _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)
