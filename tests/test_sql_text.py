"""No literal of a statement is in its normalised text, whatever the literal."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmscope.sql_text import (
    MAX_READ,
    MAX_WRITTEN,
    MORE,
    MYSQL,
    POSTGRESQL,
    SQLITE,
    Normaliser,
)

normalised = Normaliser()
EVERY = (POSTGRESQL, MYSQL, SQLITE)
COLUMNS = ", ".join(f"users.column_{n} AS users_column_{n}" for n in range(9))


@pytest.mark.parametrize(
    ("dialects", "text", "expected"),
    [
        (EVERY, "SELECT a FROM t WHERE id = 17", "SELECT a FROM t WHERE id = ?"),
        (EVERY, "select a\n  from t\twhere b = 'x''y' ;", "select a from t where b = ?"),
        (EVERY, "SELECT a-5, -5, 1.5e-3, 0x1F, 1_000, 7.e5 FROM t2", "SELECT a-?, … FROM t2"),
        (EVERY, "DELETE FROM t WHERE b IS NULL LIMIT 1", "DELETE FROM t WHERE b IS NULL LIMIT ?"),
        (EVERY, "SELECT a FROM t WHERE id IN (1)", "SELECT a FROM t WHERE id IN (?, …)"),
        (EVERY, "SELECT a FROM t WHERE id IN ('a', 'b', 3)", "SELECT a FROM t WHERE id IN (?, …)"),
        (EVERY, "INSERT INTO t (a, b) VALUES (?, 2), (?, 3)", "INSERT INTO t (a, b) VALUES (?, …)"),
        (EVERY, "INSERT INTO t VALUES (1, now()), (2, now())", "INSERT INTO t VALUES (?, now())"),
        (EVERY, "/* route='/x' */ SELECT 1 -- it's\n FROM t /*x*/", "SELECT ? FROM t"),
        (EVERY, "DELETE FROM t WHERE a = X'ab12' AND b = ?", "DELETE FROM t WHERE a = ? AND b = ?"),
        (EVERY, "SELECT `a` FROM t WHERE b = %s", "SELECT `a` FROM t WHERE b = ?"),
        (EVERY, f"SELECT {COLUMNS} FROM users", "SELECT … FROM users"),
        (EVERY, "SELECT 1 FROM t WHERE a = 'un", "SELECT ? FROM t WHERE a =…"),
        (EVERY, "SELECT 1 FROM t /* un", "SELECT ? FROM t…"),
        (POSTGRESQL, "DELETE FROM t WHERE b = %(b_1)s::INT", "DELETE FROM t WHERE b = ?::INT"),
        (POSTGRESQL, 'SELECT "it\'s"."B" FROM "T" # 2', 'SELECT "it\'s"."B" FROM "T"'),
        (POSTGRESQL, "SELECT E'a\\'b', $$c'd$$, $x$ $$ $x$, U&'e'", "SELECT ?, …"),
        (POSTGRESQL, "SELECT x FROM t WHERE y = $1 AND z[1:2] = ARRAY ['a']",
         "SELECT x FROM t WHERE y = ? AND z[?:?] = ARRAY [?]"),
        (POSTGRESQL, "SELECT a FROM t WHERE b IN (%(b_1)s::INT, %(b_2)s::INT)",
         "SELECT a FROM t WHERE b IN (?::INT, …)"),
        (POSTGRESQL, "SELECT /* a /* b */ secret */ 1", "SELECT…"),
        (POSTGRESQL, r"SELECT 'a\' FROM t", "SELECT…"),
        (MYSQL, 'SELECT a FROM t WHERE b = "it\'s" # it\'s', "SELECT a FROM t WHERE b = ?"),
        (MYSQL, r"SELECT a FROM t WHERE b = 'it\'s'", "SELECT a FROM t WHERE b =…"),
        (MYSQL, "SELECT a--'s\nt'", "SELECT a"),
        (MYSQL, "SELECT /*!50000 'a*/secret' */ 1", "SELECT…"),
        (SQLITE, r"DELETE FROM t WHERE b = 'x\' OR c = 'd'", "DELETE FROM t WHERE b = ? OR c = ?"),
        (SQLITE, 'SELECT "u"."o" AS "p", [q r] FROM "u" WHERE x = "secret"',
         'SELECT "u"."o" AS "p", [q r] FROM "u" WHERE x = ?'),
        (SQLITE, 'SELECT 1 WHERE a IS NOT DISTINCT/**/FROM "secret"',
         "SELECT ? WHERE a IS NOT DISTINCT FROM ?"),
    ],
)  # fmt: skip
def test_what_is_left_of_a_statement(dialects, text, expected):
    """Names, keywords and structure; one text for all lengths of a list."""
    for dialect in (dialects,) if isinstance(dialects, str) else dialects:
        assert (dialect, normalised(text, dialect)) == (dialect, expected)


def test_a_long_statement_is_cut():
    """Before it is read, also within a string, and before it is stored."""
    values = ", ".join(f"'secret{n}'" for n in range(5000))
    assert normalised(f"SELECT a FROM t WHERE b IN ({values})", SQLITE) == (
        "SELECT a FROM t WHERE b IN (?…"
    )
    inside = "SELECT '" + "x" * (MAX_READ - 12) + "secret'"
    assert normalised(inside, POSTGRESQL) == "SELECT…"
    long = normalised("SELECT 1 FROM " + "t" * 2 * MAX_WRITTEN, SQLITE)
    assert (len(long), long[-2:]) == (MAX_WRITTEN, "t" + MORE)


SECRET = "s3cr3t"
NOISE = st.text(
    st.sampled_from("'\"`\\$#-/*[]()!;:?%@xEeN&\n\r €ß0\0\ue000") | st.characters(codec="utf-8")
)
CONTENT = st.builds(lambda a, b: f"{a}{SECRET}{b}", NOISE, NOISE)


def quoted(quote: str, escape_backslash: bool = False):
    """Return literals in *quote*s, as a careful program writes them."""

    def write(content: str) -> str:
        content = content.replace("\\", "\\\\") if escape_backslash else content
        return quote + content.replace(quote, 2 * quote) + quote

    return CONTENT.map(write)


def comments(line: str):
    """Return comments that begin with *line* and end with their line, or in a block."""
    one_line = CONTENT.map(lambda text: line + text.replace("\n", "").replace("\r", "") + "\n")
    return one_line | CONTENT.map(lambda text: f"/*{text.replace('*/', '').strip('*/')}*/")


def dollar_quoted():
    tags = st.sampled_from(["$$", "$a$", "$ß_1$", "$€$"])
    return (
        st.tuples(tags, CONTENT)
        .filter(lambda t: t[0] not in t[1] + "$"[: t[1].endswith("$")])
        .map(lambda t: t[0] + t[1].rstrip("$") + t[0])
    )


NUMBERS = st.sampled_from(
    ["90817263", "9.0817263", "90817263e5", "0x90817263", "-90817263", "9_0817263", ".90817263"]
)
OPAQUE = {
    POSTGRESQL: [
        quoted("'"), quoted("'").map(lambda text: f"N{text}"), dollar_quoted(), comments("--"),
        quoted("'", True).map(lambda text: f"E{text}"),
        CONTENT.map(lambda text: "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    ],
    MYSQL: [
        quoted("'", True), quoted('"', True), comments("#"), comments("-- "),
        CONTENT.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    ],
    SQLITE: [quoted("'"), quoted('"').map(lambda text: f"= {text}"), comments("--")],
}  # fmt: skip
NAMES = {
    POSTGRESQL: ['"it\'s"', '"$$"', '"a""--"', '"/*"', "a[1]", "ARRAY [1, 2]", "# 2", "x$1"],
    MYSQL: ["`it's`", "`/*`", "`a``#`", "a$$b", "5--1", "@v"],
    SQLITE: ["[it's]", "`it's`", 't."it\'s"', '"--".x', "`/*`", "a$$b"],
}
BETWEEN = [" ", ",", "(", ")", "=", " AND ", " SELECT ", " FROM ", "\n", "||", "::", "- "]
BETWEEN += [" $ ", "]"]  # dollars of two pieces would join to a quote


def statements(dialect: str):
    """Return pieces of SQL in which everything that holds `SECRET` is a literal or a comment."""
    literals = st.one_of(*OPAQUE[dialect]) | NUMBERS.map(lambda text: f" {text} ")
    names = st.sampled_from(NAMES[dialect]).map(lambda text: f" {text} ")
    piece = literals.map(lambda text: f" {text} ") | names | st.sampled_from(BETWEEN)
    return st.lists(piece, max_size=12).map("".join)


def attack(dialect: str, examples: int) -> None:
    """Normalise strings, comments, numbers and quoted names in any order, cut anywhere."""

    @settings(max_examples=examples, deadline=None)
    @given(statements(dialect), st.integers(0, 400))
    def holds(text: str, end: int) -> None:
        for part in (text, text[:end]):
            found = normalised(part, dialect)
            assert SECRET not in found
            assert "0817" not in found

    holds()


@pytest.mark.parametrize("dialect", EVERY)
def test_no_literal_is_left(dialect):
    """Neither of a whole statement nor of one that is cut."""
    attack(dialect, 60)


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("dialect", EVERY)
def test_no_literal_is_left_of_thousands(dialect):
    """The same, for longer."""
    attack(dialect, 3000)


def test_sqlite_reads_these_literals_as_they_are_meant():
    """What is tried above is what the database takes for a string."""

    @settings(max_examples=100, deadline=None)
    @given(CONTENT.filter(lambda text: "\0" not in text))
    def holds(content: str) -> None:
        literal = "'" + content.replace("'", "''") + "'"
        assert sqlite3.connect(":memory:").execute(f"SELECT {literal}").fetchone() == (content,)

    holds()
