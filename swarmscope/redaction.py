"""Removes secrets from names, arguments, URLs and messages before they are stored or shown.

A request's name is redacted to the same text wherever it is stored, shown, exported as a label or
queried (`stored_name`), and redacting it again changes nothing. A message loses the query strings
of its URLs; a name keeps them except for the values of secret parameters, as Locust by default
names a request after its path and query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

HIDDEN = "***"
MIN_SECRET = 4  # characters: a shorter secret is hidden only as a whole argument
MIN_OPAQUE = 16  # characters of a text that looks like a credential and not like a word
CACHED_TEXTS = 1_000
CACHED_NAMES = 10_000
MAX_NAME = 255  # characters; an index of PostgreSQL holds no more than 2,704 bytes

_SECRET = (
    r"(?<!by)(?<!com)pass(?!ed|es|ing|eng|age|ive|ion)(?:word|wd|phrase|code)?|pwd|secret|token"
    r"|credential|authori[sz]ation|auth(?!or)|cookie|session|bearer|signature|jwt|saml"
    r"|(?:api|app|access|private|secret|signing|master|subscription|functions|encryption)[-_.]?key"
)
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
# The target chooses a failure's text: no pattern may take quadratic time.
_SECRET_PAIR = re.compile(
    rf"""(?ix)
    (?P<name>
        (?<![\w.-]) (?<!//) (?P<key> [\w.-]*? (?: {_SECRET} ) [\w.-]*+ )
        \\*+ (?P<quoted> ["']? ) \s* (?P<sign> := | => | [=:] ) \s*
    )
    (?P<value>
        (?P<scheme> (?:bearer|basic|digest|token|api-?key|jwt|key) \s+ )?
        (?: (?P<quote> \\*+ ["'] ) (?: (?! (?<!\\) (?P=quote) ) [\s\S] )*+ (?: (?P=quote) )?
            | [^\s&;,}}"']+
        )
    )
    """
)
_SECRET_OPTION = re.compile(rf"{_SECRET}|(?:^|[-_])(?:pw|pat|pin|key)$", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    rf"{_SECRET}|^(?:sig|code|key|pw|pat|pin|otp|totp|ticket|sid|hmac|assertion)$", re.IGNORECASE
)
_NEGATIVE = re.compile(r"-\d")  # a value: no option begins like this
_OPTION = re.compile(
    r"""(?<![\w-])(--?[A-Za-z][\w.-]*+)(\s++)(?!-[A-Za-z-])("[^"]*+"|'[^']*+'|[^\s"',;)}\]]+)"""
)
_COOKIES = re.compile(r"(?i)\b(cookie\s*:\s*)[^\r\n\"']+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+([\w.~+/=-]+)")
_USER_INFO = re.compile(r"(?<![\w.:@/%+-])[\w.%+-]++:[^\s/'\"]{1,256}@(?=[\w\[])")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{0,31}://[^\s'\"<>]+", re.IGNORECASE)
_URL_USER_INFO = re.compile(
    r"""(?ix) ( \b[a-z][a-z0-9+.-]{0,31}:// ) [^\s/?\#'"<>]* @
    | (?<![:\w]) ( // ) [^\s/?\#'"<>@:]{1,256} : [^\s/?\#'"<>@]{0,256} @"""
)
_PARAMETER = re.compile(r"[?&;#]([^=&;?#\s/'\"<>]{1,200})=")
_PARAMETER_END = re.compile(r"[&#\s'\"<>]|$")
_TOKENS = re.compile(  # recognised by their prefixes
    r"""(?x) (?<!\w) (?:
        sk-[\w-]{8,} | [sr]k_(?:live|test)_\w{8,} | gh[pousr]_\w{16,} | github_pat_\w{16,}
        | glpat-[\w-]{16,} | xox[a-z]-[\w-]{8,} | (?:AKIA|ASIA)[0-9A-Z]{12,} | AIza[\w-]{20,}
        | SG\.[\w-]{16,}\.[\w-]{16,}
        | npm_\w{30,} | hf_\w{20,} | pypi-[\w-]{20,} | eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?
    )"""
)
_WORD = re.compile(r"[^\s/?&;#='\"<>]+")


def scrub_url(url: str) -> str:
    """Return *url* without user info, query string and fragment; other texts without a query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an unbalanced bracket of an IPv6 address
        return url.partition("?")[0].partition("#")[0].rpartition("@")[2]
    path = _hide_parameters(parts.path) if ";" in parts.path else parts.path
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


@lru_cache(CACHED_TEXTS)
def scrub_text(text: str) -> str:
    """Return *text* with its URLs scrubbed and the values of what looks like a secret hidden."""
    return _scrub(_URL.sub(lambda found: scrub_url(found[0]), text), "?&")


@lru_cache(CACHED_NAMES)
def scrub_name(name: str) -> str:
    """Return a request's *name* without user info and without the values of secrets.

    Its words are kept: ``auth: login`` and ``auth: logout`` are two endpoints.
    """
    return _scrub(name, "?&;#", is_name=True)


def stored_name(name: str) -> str:
    """Return *name* as it is stored and shown: without secrets, of at most `MAX_NAME` characters.

    Different names stay different, except those that differ only in secrets.
    """
    name = scrub_name(name)
    if len(name) <= MAX_NAME:
        return name
    digest = sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{name[: MAX_NAME - 10]}…{digest}"


def _scrub(text: str, leads: str, is_name: bool = False) -> str:
    """Return *text* without secrets; parameters of URLs begin with one of *leads*."""
    if "//" in text:
        text = _URL_USER_INFO.sub(lambda found: found[1] or found[2], text)
    if "=" in text:
        text = _hide_parameters(text, leads)
    if "%" in text:
        text = _WORD.sub(lambda found: _scrub_encoded(found[0]), text)
    if "@" in text:
        text = _USER_INFO.sub(HIDDEN + "@", text)
    if "-" in text:
        text = _OPTION.sub(_hide_option_value, text)
    if ":" in text:
        text = _COOKIES.sub(lambda found: _hide_cookies(found, is_name), text)
    if ":" in text or "=" in text:
        text = _SECRET_PAIR.sub(lambda found: _hide_value(found, is_name), text)
    if not is_name or " " in text:
        text = _BEARER.sub(lambda found: _hide_bearer(found, is_name), text)
    return _TOKENS.sub(HIDDEN, text)


def _hide_parameters(text: str, leads: str = ";") -> str:
    """Return *text* with the values of secret parameters hidden, up to the next parameter."""
    shown, position = [], 0
    for found in _PARAMETER.finditer(text):
        is_parameter = found.start() >= position and found[0][0] in leads
        if is_parameter and _SECRET_PARAMETER.search(unquote_plus(found[1])):
            shown += [text[position : found.end()], HIDDEN]
            end = _PARAMETER_END.search(text, found.end())
            position = end.start() if end else len(text)
    return "".join((*shown, text[position:]))


def _scrub_encoded(word: str) -> str:
    """Return *word*, hidden if what it encodes contains a secret, such as a URL in a URL."""
    if "%" not in word:
        return word
    decoded = unquote_plus(word)
    return word if decoded == word or scrub_name(decoded) == decoded else HIDDEN


def _hide_option_value(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{HIDDEN}" if names_secret(found[1]) else found[0]


def _hide_cookies(found: re.Match[str], is_name: bool) -> str:
    return found[0] if is_name and "=" not in found[0] else found[1] + HIDDEN


def _hide_value(found: re.Match[str], is_name: bool) -> str:
    is_word = (
        is_name
        and found["sign"] == ":"
        and not (found["quoted"] or found["quote"] or found["scheme"])
        and not _is_opaque(found["value"])
    )
    return found[0] if is_word else found["name"] + HIDDEN


def _hide_bearer(found: re.Match[str], is_name: bool) -> str:
    return found[0] if is_name and not _is_opaque(found[2]) else f"{found[1]} {HIDDEN}"


def _is_opaque(value: str) -> bool:
    """Return whether *value* looks like a credential, unlike a word of a name."""
    return len(value) >= MIN_OPAQUE and any(map(str.isdigit, value))


@lru_cache(CACHED_TEXTS)
def scrub_json(text: str) -> str:
    """Return JSON *text* with its strings scrubbed and the values of secret keys hidden."""
    try:
        return json.dumps(_scrub_value(json.loads(text)), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):  # or nested too deeply
        return '{"error": "not JSON"}'


def _scrub_value(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, list):
        return [_scrub_value(each) for each in value]
    if isinstance(value, dict):
        return {key: _scrub_member(key, each) for key, each in value.items()}
    return value


def _scrub_member(key: str, value: Any) -> Any:
    may_be_secret = value is not None and not isinstance(value, bool)
    return HIDDEN if may_be_secret and _SECRET_NAME.search(key) else _scrub_value(value)


def names_secret(option: str) -> bool:
    """Return whether an option or key of this name holds a secret."""
    return bool(_SECRET_OPTION.search(option))


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return *text* without the known *secrets*."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN) if len(secret) >= MIN_SECRET else text
    return text


def scrub_arguments(arguments: Sequence[str], secrets: Iterable[str] = ()) -> str:
    """Return a command line's *arguments* as one string without secrets.

    Hides the values of options that are named like secrets, user info and query strings of URLs,
    and each of *secrets*.
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
    return hide(" ".join(shown), secrets)
