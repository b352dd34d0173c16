"""Secrets are hidden, and nothing else is."""

from __future__ import annotations

import time

import pytest

from swarmscope.client.listener import LONGEST_TEXT
from swarmscope.client.scrub import (
    scrub_arguments,
    scrub_json,
    scrub_name,
    scrub_text,
    scrub_url,
)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://user:pw@host:80/a/b?token=1#part", "http://host:80/a/b"),
        ("https://host", "https://host"),
        ("http://u@[::1]:80/x", "http://[::1]:80/x"),
        ("http://u:p@[broken/x?y", "[broken/x"),
        ("/path?q=1", "/path"),
        ("", ""),
    ],
)
def test_urls_lose_user_info_and_query(given, kept):
    """Of a URL remain scheme, host and path."""
    assert scrub_url(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/tests?page=2", "/tests?page=2"),
        ("/tests?page=2&access_token=abc&x=1", "/tests?page=2&access_token=***&x=1"),
        ("/login?Password=abc", "/login?Password=***"),
        ("what? no URL", "what? no URL"),
    ],
)
def test_names_keep_what_is_no_secret(given, kept):
    """A request's name loses the values of secret parameters only."""
    assert scrub_name(given) == kept


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-u", "5", "--pgpassword", "hush"], "-u 5 --pgpassword ***"),
        (["--pgpassword=hush", "-t", "1m"], "--pgpassword=*** -t 1m"),
        (["--api-key", "hush", "--headless"], "--api-key *** --headless"),
        (["--web-login", "--headless"], "--web-login --headless"),
        (["--token", "--headless"], "--token --headless"),
        (["-H", "http://me:hush@host/x?y=hush"], "-H http://host/x"),
        (["--header", "Authorization: Bearer hush"], "--header Authorization: ***"),
        (["--dsn", "host=db password=hush user=me"], "--dsn host=db password=*** user=me"),
        (["--dsn", "postgresql://me:hush@db/x"], "--dsn postgresql://db/x"),
        (["--note", "it is hush"], "--note it is ***"),
        (["-P", "hush", "-Phush", "-u", "5"], "-P *** -P*** -u 5"),
        (["--db", "me:s3cret@db:5432/x"], "--db ***@db:5432/x"),
        (["--at", "12:30", "--to", "you@there", "-H", "[::1]:80"],
         "--at 12:30 --to you@there -H [::1]:80"),
        (["--config", '{"client_secret": "hush hush", "a": 1}'],
         '--config {"client_secret": ***, "a": 1}'),
    ],
)  # fmt: skip
def test_arguments_lose_their_secrets(arguments, shown):
    """What looks like a secret, or is known to be one, is hidden wherever it stands."""
    assert scrub_arguments(arguments, secrets=["hush"]) == shown


def test_messages_lose_their_secrets():
    """The URL in an exception's text has no query, and a token is hidden."""
    text = "HTTPError('401 for url: http://me:hush@host/x?token=hush', token='hush')"
    assert scrub_text(text) == "HTTPError('401 for url: http://host/x', token=***)"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (r'{"password": "a\"hush", "a": 1}', '{"password": ***, "a": 1}'),
        (r'"{\"password\": \"hush\", \"a\": 1}"', r'"{\"password\": ***, \"a\": 1}"'),
        (r"{\\\"token\\\": \\\"a\\\\\"hush\\\", b", r"{\\\"token\\\": ***, b"),
        ('{"password": "hush and no en', '{"password": ***'),
        ("connect me:hu@sh@db failed", "connect ***@db failed"),
    ],
)
def test_messages_lose_secrets_however_they_are_quoted(given, kept):
    """JSON in JSON, a quote in a secret, a text that was cut off."""
    assert scrub_text(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"a": [1, "x", null], "n": 1.5}', '{"a": [1, "x", null], "n": 1.5}'),
        ('{"login": {"password": "hush", "pin": 7, "auth": true}}',
         '{"login": {"password": "***", "pin": 7, "auth": true}}'),
        ('{"token": ["hush"], "url": "http://u:hush@h/x?hush"}',
         '{"token": "***", "url": "http://h/x"}'),
        ('["password=hush", "é"]', '["password=***", "é"]'),
        ("{", '{"error": "this is no JSON"}'),
        ("[NaN]", '{"error": "this is no JSON"}'),
        ("[" * 100_000, '{"error": "this is no JSON"}'),
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_json_loses_its_secrets(given, kept):
    """What a request's context holds is JSON before and after."""
    assert scrub_json(given) == kept


UNITS = ["@", "a:", "a:b@", "a:b,@", "\\", 'token=\\"', "password='"]


@pytest.mark.parametrize("unit", [*UNITS, "a", "auth", "a.-", "QWxhZGRpbjpv", "token ", "http:"])
def test_a_long_text_is_scrubbed_in_no_time(unit):
    """A failure's text may be a whole answer of the target: it cannot hold up the shipper."""
    text = unit * (LONGEST_TEXT // len(unit))
    begun = time.process_time()
    for _ in range(10):
        scrubbed = scrub_text.__wrapped__(text)
        assert scrubbed == text or "***" in scrubbed
    assert (time.process_time() - begun) / 10 < 0.1  # was 3 s


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", "-123"],
        ["--api.key=-123"],
        ["--pw", "123"],
        ["--tls-key=123"],
        ["--header", "Cookie: colour=red; id=123"],
    ],
)
def test_no_way_of_writing_shows_a_secret(arguments):
    """A number below zero, a short name, a second cookie."""
    assert "123" not in scrub_arguments(arguments)
    assert scrub_arguments(["--keyboard", "qwerty", "-5"]) == "--keyboard qwerty -5"
