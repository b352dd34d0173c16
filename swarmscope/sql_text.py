"""SQL without its literals: one text for all statements that differ only in values.

Where a string or a comment ends depends on the database, so these are found first, by its own
rules. What is between them is split by sqlparse, whose one set of rules suits all. Where a text is
unclear (a string without an end, a backslash before a quote, a comment within a comment), the rest
of it is dropped, so that no literal is ever taken for SQL.

Sources: PostgreSQL 18, 4.1 "Lexical Structure"; MySQL 8.4, 11.1 "Literal Values" and 11.7
"Comments"; SQLite, "SQL Comment Syntax" and "Quirks, Caveats, and Gotchas", 8.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

POSTGRESQL, MYSQL, SQLITE = "postgresql", "mysql", "sqlite"
MAX_READ = 10_000  # characters of a statement
MAX_WRITTEN = 500
MAX_COLUMNS = 60  # characters of a list after SELECT
MORE = "…"

_ALONE = r"(?<![\w$\x80-\U0010ffff])"  # not the end of a name
_LETTER = r"[^\W\d]|[^\x00-\x7f]"
_BLOCK = r"/\*(?!!)(?:[^*/]++|\*(?!/)|/(?!\*))*+\*/"
_QUOTED = r"'(?:[^'\\]++|''|\\(?!'))*+'"
_QUOTED_TWICE = _QUOTED.replace("'", '"')
_DOUBLE = r'"(?:[^"]++|"")*+"'
_BACKTICK = r"`(?:[^`]++|``)*+`"
_TAG = rf"\$(?:(?:{_LETTER})(?:\w|[^\x00-\x7f])*+)?\$"


def _pattern(comment: str, string: str, name: str, unclear: str) -> re.Pattern[str]:
    """Return what finds comments, strings and quoted names, and the start of anything unclear."""
    groups = {"comment": f"{comment}|{_BLOCK}", "string": string, "name": name}
    groups["unclear"] = rf"{unclear}|['\"]|/\*"
    return re.compile("|".join(f"(?P<{name}>{text})" for name, text in groups.items()), re.DOTALL)


_OPAQUE = {
    POSTGRESQL: _pattern(
        comment=r"--[^\n\r]*+",
        string=rf"{_ALONE}[eE]'(?:[^'\\]++|''|\\.)*+'|(?:{_ALONE}(?:[uU]&|[bBnNxX]))?{_QUOTED}"
        rf"|{_ALONE}(?P<tag>{_TAG}).*?(?P=tag)",
        name=_DOUBLE,
        unclear=rf"{_ALONE}{_TAG}",
    ),
    MYSQL: _pattern(
        comment=r"#[^\n]*+|--(?=[\s\x00-\x1f]|\Z)[^\n]*+",
        string=rf"(?:{_ALONE}[bBnNxX])?{_QUOTED}|{_QUOTED_TWICE}",
        name=_BACKTICK,
        unclear="`",
    ),
    SQLITE: _pattern(
        comment=r"--[^\n]*+",
        string=rf"(?:{_ALONE}[xX])?'(?:[^']++|'')*+'",
        name=rf"{_DOUBLE}|{_BACKTICK}|\[[^\]]*+\]",
        unclear=r"[`\[]",
    ),
}
_BEFORE_NAME = re.compile(r"(\.|(\bDISTINCT\s+)?\b(AS|FROM|INTO|JOIN|TABLE|UPDATE))\s*$", re.I)
_NUMBER, _NAMES = "\0", "\ue000-\uf8ff"  # marks: one for all numbers, one for each quoted name
_VALUE = r"(?:-?\d+|\?|%s|%\(\w+\)s|\$\d+)"
_VALUES = re.compile(rf"(?<![\w.$?:%]){_VALUE}(?:\s*,\s*{_VALUE})++(?![\w.(:])")
_REWRITES = (
    (re.compile(rf"{_NUMBER}[{_NUMBER}.\w]*"), "?"),
    (re.compile(r"\s+"), " "),
    (re.compile(r"(\?(?:::\w+)?)(?: ?, ?\1(?!\w))+"), rf"\1, {MORE}"),
    (re.compile(r"\b(IN ?\(\?(?:::\w+)?)\)", re.I), rf"\1, {MORE})"),
    (re.compile(r"(\((?:[^()]|\([^()]*+\))*+\))(?: ?, ?\1)+"), r"\1"),
)
_COLUMNS = re.compile(r"\bSELECT ((?:(?! FROM )[^()]|\([^()]*+\))*+)(?= FROM )", re.I)


class Normaliser:
    """Removes literals from statements; raises ImportError without sqlparse."""

    def __init__(self) -> None:
        self._tokenize = import_module("sqlparse.lexer").tokenize
        self._tokens: Any = import_module("sqlparse.tokens")

    def __call__(self, text: str, dialect: str) -> str:
        """Return *text* of a statement without literals and comments, on one line::

            SELECT * FROM items WHERE id IN (?, …) AND name = ?

        Lists of values have one length. At most `MAX_WRITTEN` characters, `MORE` for what is cut.
        """
        found, names, is_whole = _without_strings(text[:MAX_READ], dialect)
        found = self._without_numbers(_VALUES.sub("?, ?", found))
        for pattern, by in _REWRITES:
            found = pattern.sub(by, found)
        found = found.translate(names)[: 4 * MAX_WRITTEN]
        found = _COLUMNS.sub(_shortened, found).strip(" ;")
        if is_whole and len(text) <= MAX_READ and len(found) <= MAX_WRITTEN:
            return found
        return found[: MAX_WRITTEN - 1].rstrip(f" ,{MORE}") + MORE

    def _without_numbers(self, text: str) -> str:
        """Return *text*, in which no quotes are, with marks for numbers and `?` for parameters."""
        result, tokens = "", self._tokens
        for kind, value in self._tokenize(text):
            if kind in tokens.Comment or value.isspace():
                result += " "  # what seems to be a comment is an operator of another database
            elif value[0].isdigit() or kind in tokens.Number:
                is_minus = value[0] == "-" and (result[-1:].isalnum() or result[-1:] in (")", "]"))
                result += "-" * is_minus + _NUMBER
            elif kind in tokens.Literal or kind in tokens.Name.Placeholder:
                result += "?"
            elif value[0] == "[" and value != "[":  # to sqlparse, a name; in PostgreSQL, an array
                result += "[?]"
            else:
                result += value
        return result


def _without_strings(text: str, dialect: str) -> tuple[str, dict[int, str], bool]:
    """Return *text* with `?` for strings and a mark for each quoted name; the names by their marks.

    The third is whether all of *text* was clear.
    """
    text = re.sub(f"[{_NUMBER}{_NAMES}]", " ", text)
    result, start, names = "", 0, dict[int, str]()
    for match in _OPAQUE[dialect].finditer(text):
        result += text[start : match.start()]
        start = match.end()
        if match["unclear"]:
            return result, names, False
        if match["comment"]:
            result += " "
        elif match["name"] and _is_name(match, result, dialect):
            mark = ord(_NAMES[0]) + len(names)
            names[mark] = match[0]
            result += chr(mark)
        else:
            result += "?"
    return result + text[start:], names, True


def _is_name(match: re.Match[str], before: str, dialect: str) -> bool:
    """Return whether a quoted name is one: to SQLite, double quotes may be a string's, too."""
    if dialect != SQLITE or match[0][0] != '"':
        return True
    found = _BEFORE_NAME.search(before[-100:])
    is_after = found is not None and found[2] is None
    return is_after or bool(re.match(r"\s*\.\s*([^\W\d]|[\"`\[])", match.string[match.end() :]))


def _shortened(match: re.Match[str]) -> str:
    return match[0] if len(match[1]) <= MAX_COLUMNS else f"SELECT {MORE}"
