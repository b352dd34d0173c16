"""The requests of a scenario: which of a service's routes can be called, and why others cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from swarmscope.onboarding.app_process import Answer
from swarmscope.onboarding.item_ids import IdList, id_list
from swarmscope.onboarding.routes import LOGIN, Argument, Route, is_for_users

Ask = Callable[[Sequence[str]], Mapping[str, Answer]]
NEEDS_LOGIN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Request:
    """A route with where its arguments come from, by name: a list of ids, or values."""

    route: Route
    sources: Mapping[str, IdList | tuple[int | str, ...]]

    @property
    def example(self) -> str:
        """A path to call it by."""
        return "".join(map(self._text, self.route.parts)) + self.route.query

    def _text(self, part: str | Argument) -> str:
        if isinstance(part, str):
            return part
        source = self.sources[part.name]
        value = source.sample if isinstance(source, IdList) else source[0]
        return quote(str(value), safe="/" if part.converter == "path" else "")


@dataclass(frozen=True)
class Gap:
    """A route that the scenario cannot call yet, and why."""

    route: Route
    reason: str


@dataclass(frozen=True)
class Login:
    """The path to which users post their password, as a form or as JSON."""

    path: str
    is_form: bool


@dataclass(frozen=True)
class Mix:
    """What the users of a service do; *failing* are requests that the app answered with a 5xx."""

    requests: Sequence[Request]
    gaps: Sequence[Gap]
    login: Login | None
    failing: Mapping[str, int]


def mix_of(routes: Sequence[Route], ask: Ask, all_methods: bool = False) -> Mix:
    """Choose what users do among *routes*; *ask* returns the service's answers to GETs of paths."""
    called = [r for r in routes if is_for_users(r) and (all_methods or r.method == "GET")]
    plain = [r.path for r in called if r.method == "GET" and not r.arguments and not r.needs]
    answers = dict(ask(plain))
    found = [_request(route, answers) for route in called]
    asked = [r.example for r in found if isinstance(r, Request) and r.route.method == "GET"]
    answers |= ask([path for path in asked if path not in answers])
    judged = [_judged(each, answers) for each in found]
    requests = [each for each in judged if isinstance(each, Request)]
    return Mix(
        requests=requests,
        gaps=[each for each in judged if isinstance(each, Gap)],
        login=_login(routes),
        failing=_failing(requests, answers),
    )


def _login(routes: Iterable[Route]) -> Login | None:
    methods: dict[str, set[str]] = {}
    for route in routes:
        if LOGIN.search(route.rule) and not route.arguments:
            methods.setdefault(route.rule, set()).add(route.method)
    return next((Login(rule, "GET" in m) for rule, m in methods.items() if "POST" in m), None)


def _request(route: Route, answers: Mapping[str, Answer]) -> Request | Gap:
    """Return *route* with the sources of its arguments, or what is missing."""
    if route.needs:
        return Gap(route, route.needs)
    sources: dict[str, IdList | tuple[int | str, ...]] = {}
    for argument in route.arguments:
        source = argument.values or id_list(route, argument, answers)
        if not source:
            return Gap(route, f"no list provides values for {argument.name}")
        sources[argument.name] = source
    if sum(isinstance(source, IdList) for source in sources.values()) > 1:
        return Gap(route, "its arguments belong together")
    return Request(route, sources)


def _judged(each: Request | Gap, answers: Mapping[str, Answer]) -> Request | Gap:
    """Return a request as it is, unless the service refused it."""
    if isinstance(each, Gap) or each.route.method != "GET" or each.example not in answers:
        return each
    answer = answers[each.example]
    status = answer.status
    if status in NEEDS_LOGIN or LOGIN.search(urlsplit(answer.location).path):
        return Gap(each.route, f"needs a login ({status})")
    if status and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Gap(each.route, f"the app answered {status} to {each.example}")
    return each


def _failing(requests: Iterable[Request], answers: Mapping[str, Answer]) -> dict[str, int]:
    found = {r.route.rule: answers[r.example].status for r in requests if r.example in answers}
    return {rule: s for rule, s in found.items() if s and s >= HTTPStatus.INTERNAL_SERVER_ERROR}
