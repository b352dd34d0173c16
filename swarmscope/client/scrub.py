"""Keeps secrets out of what is stored: passwords and tokens in arguments, URLs and messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
SHORTEST_TELLING = 4  # characters: a shorter secret is hidden where it stands alone
REMEMBERED_TEXTS = 1_000

_SECRET = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret|token|credential|authori[sz]ation|auth|cookie|session"
    r"|bearer|signature|jwt|(?:api|access|private|secret|encryption)[-_.]?key"
)
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
# A failure's text is the target's to choose: neither may take time in the square of its length.
_SECRET_PAIR = re.compile(
    rf"""(?ix)
    (?P<name> (?<![\w.-]) [\w.-]*? (?: {_SECRET} ) [\w.-]*+ \\*+ ["']? \s* [=:] \s* )
    (?P<value>
        (?: (?:bearer|basic|digest|token) \s+ )?
        (?: (?P<quote> \\*+ ["'] ) (?: (?! (?<!\\) (?P=quote) ) [\s\S] )*+ (?: (?P=quote) )?
            | [^\s&;,}}"']+
        )
    )
    """
)
_SECRET_OPTION = re.compile(rf"{_SECRET}|(?:^|[-_])(?:pw|pat|pin|key)$", re.IGNORECASE)
_NEGATIVE = re.compile(r"-\d")  # a value: no option begins so
_COOKIES = re.compile(r"(?i)\b(cookie\s*:\s*)[^\r\n\"']+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_USER_INFO = re.compile(r"(?<![\w.:@/%+-])[\w.%+-]++:[^\s/'\"]{1,256}@(?=[\w\[])")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{0,31}://[^\s'\"<>]+", re.IGNORECASE)


def scrub_url(url: str) -> str:
    """Return *url* without user info, query string and fragment; what is no URL loses its query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an unbalanced bracket of an IPv6 address
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


@lru_cache(REMEMBERED_TEXTS)
def scrub_text(text: str) -> str:
    """Return *text* with its URLs scrubbed and the values of what looks like a secret hidden."""
    text = _URL.sub(lambda found: scrub_url(found[0]), text)
    if "@" in text:
        text = _USER_INFO.sub(HIDDEN + "@", text)
    text = _COOKIES.sub(lambda found: found[1] + HIDDEN, text)
    text = _SECRET_PAIR.sub(lambda found: found["name"] + HIDDEN, text)
    return _BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", text)


@lru_cache(REMEMBERED_TEXTS)
def scrub_json(text: str) -> str:
    """Return JSON *text* with its strings scrubbed and the values of secret keys hidden."""
    try:
        return json.dumps(_scrub_value(json.loads(text)), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # or nested so deeply that nobody could read it
        return '{"error": "this is no JSON"}'


def _scrub_value(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [_scrub_value(each) for each in value]
    if isinstance(value, dict):
        return {key: _scrub_member(key, each) for key, each in value.items()}
    return value


def _scrub_member(key: str, value: Any) -> Any:
    says_something = value is not None and not isinstance(value, bool)
    return HIDDEN if says_something and _SECRET_NAME.search(key) else _scrub_value(value)


def scrub_name(name: str) -> str:
    """Return a request's *name* with the values of secret query parameters hidden.

    Other parameters stay: by default Locust names a request after its path and query.
    """
    path, mark, query = name.partition("?")
    if not mark:
        return name
    return f"{path}?{'&'.join(map(_scrub_parameter, query.split('&')))}"


def _scrub_parameter(parameter: str) -> str:
    key, equals, _ = parameter.partition("=")
    return f"{key}={HIDDEN}" if equals and _SECRET_NAME.search(key) else parameter


def names_secret(option: str) -> bool:
    """Tell whether an option of this name, or under this key, holds a secret."""
    return bool(_SECRET_OPTION.search(option))


def scrub_arguments(arguments: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """Return a command line's *arguments* as one string without secrets.

    Hidden are the values of options named like secrets, user info and query strings of URLs, and
    each of *secrets* wherever it stands.
    """
    secrets = frozenset(secrets) - {""}
    shown = []
    hide_next = False
    for argument in arguments:
        option, equals, _ = argument.partition("=")
        is_option = argument.startswith("-") and not _NEGATIVE.match(argument)
        if (hide_next and not is_option) or argument in secrets:
            shown.append(HIDDEN)
        elif is_option and argument[2:] in secrets:
            shown.append(argument[:2] + HIDDEN)
        elif is_option and equals and names_secret(option):
            shown.append(f"{option}={HIDDEN}")
        else:
            shown.append(scrub_text(argument))
        hide_next = is_option and not equals and names_secret(option)
    line = " ".join(shown)
    for secret in secrets:
        line = line.replace(secret, HIDDEN) if len(secret) >= SHORTEST_TELLING else line
    return line
