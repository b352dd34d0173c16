"""Secrets are hidden, and nothing else is."""

from __future__ import annotations

import time

import pytest

from swarmscope.client.listener import LONGEST_TEXT
from swarmscope.client.scrub import scrub_arguments, scrub_name, scrub_text, scrub_url


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


@pytest.mark.parametrize("unit", ["a", "auth", "a.-", "QWxhZGRpbjpv", "token ", "http:"])
def test_a_long_text_is_scrubbed_in_no_time(unit):
    """A failure's text may be a whole answer of the target: it cannot hold up the shipper."""
    text = unit * (LONGEST_TEXT // len(unit))
    begun = time.process_time()
    for _ in range(10):
        assert scrub_text(text) == text
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
