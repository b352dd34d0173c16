"""Secrets are hidden, and nothing else is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmscope.client.recording.listener import MAX_TEXT
from swarmscope.redaction import (
    MAX_NAME,
    scrub_arguments,
    scrub_json,
    scrub_name,
    scrub_text,
    scrub_url,
    stored_name,
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
        ("{", '{"error": "not JSON"}'),
        ("[NaN]", '{"error": "not JSON"}'),
        ("[" * 100_000, '{"error": "not JSON"}'),
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
    text = unit * (MAX_TEXT // len(unit))
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


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://svc:PW@host/x", "http://host/x"),
        ("http://svc:P@W@host:80/x?page=2", "http://host:80/x?page=2"),
        ("//svc:PW@host/x", "//host/x"),
        ("GET https://PW@host/x", "GET https://host/x"),
        ("/orders?code=PW", "/orders?code=***"),
        ("/blob?sv=2021&sig=PW%2B%3D&se=1", "/blob?sv=2021&sig=***&se=1"),
        ("/maps?key=PW&q=a", "/maps?key=***&q=a"),
        ("/hook?pw=PW;x=1", "/hook?pw=***"),
        ("/x?next=/cb?code=PW&y=1", "/x?next=/cb?code=***&y=1"),
        ("/x?next=http%3A%2F%2Fsvc%3APW%40host%2Fx&y=1", "/x?next=***&y=1"),
        ("/x?%73ig=PW", "/x?%73ig=***"),
        ("/x#access_token=PW&state=1", "/x#access_token=***&state=1"),
        ("/x;jsessionid=PW?page=1", "/x;jsessionid=***"),
        ("/s3?X-Amz-Credential=PW&X-Amz-Signature=PW&X-Amz-Date=1",
         "/s3?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1"),
        ("/x?p=sk-ant-api03-PWpwPWpw", "/x?p=***"),
        ('login {"password": "PW"}', 'login {"password": ***}'),
        ("login password=PW", "login password=***"),
        ("Authorization: Bearer abcPW0123", "Authorization: ***"),
    ],
)  # fmt: skip
def test_names_lose_their_secrets(given, kept):
    """Locust names a request after its URL, with all that is in it."""
    assert scrub_name(given) == kept
    assert scrub_name(kept) == kept


ORDINARY = [
    "status code=500",
    "primary key=id",
    "sort_key=name",
    "/items?sort_key=name&country_code=DE&status_code=500&keyword=x",
    "/authors?author=Borges&passengers=2&page=3",
    "tests passed=5, failed=3, bypass=1",
    "auth: login",
    "session:create",
    "Basic search",
    "Bearer of bad news",
    "time=12:30 ratio=3:4",
    "mail to you@there.example",
    "sk-SK locale, sk-learn, task-runner, disk-2",
    "key: value; code: 500",
    "what? code = 5",
    "/orders/{id}",
    "/per%20cent%",
    "ünïcödé ‘x’ & co",
]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay(name):
    """What is no secret would be two endpoints in one."""
    assert scrub_name(name) == name


@pytest.mark.parametrize(
    "text",
    ["status code=500", "primary key=id", "duplicate key value violates (code=23505)",
     "tests passed: 5, failed: 3", "author: Borges", "sk-SK locale, sk-learn",
     "KeyError('code')", "key=5; code=7", "HTTPError('500 for url: http://host/x')"],
)  # fmt: skip
def test_ordinary_messages_stay(text):
    """``key=`` and ``code=`` are secrets in URLs only."""
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("pg_dump --password PW failed", "pg_dump --password *** failed"),
        ("run: --api-key 'PW PW' -v", "run: --api-key *** -v"),
        ("run: --password -v", "run: --password -v"),
        ("bad key sk-PWpwPWpw0123", "bad key ***"),
        ("Incorrect API key provided: sk-proj-PWPWPWPWPWPWPWPWPWPW.",
         "Incorrect API key provided: ***."),
        ("ghp_PWpwPWpwPWpwPWpwPWpwPWpw0123 is revoked", "*** is revoked"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.PWpwPWpw expired", "*** expired"),
        ("404 for /orders?code=PW&page=1", "404 for /orders?code=***&page=1"),
        ("cannot reach //svc:PW@host/x", "cannot reach //host/x"),
    ],
)  # fmt: skip
def test_messages_lose_their_secrets_of_every_kind(given, kept):
    """An option with its value, a token that its beginning gives away, a URL's parameters."""
    assert scrub_text(given) == kept
    assert scrub_text(kept) == kept


SECRET_PARAMETERS = ["sig", "code", "key", "token", "access_token", "api_key", "password", "Sig"]


@given(
    st.sampled_from(SECRET_PARAMETERS),
    st.sampled_from(["PW0123", "hunter2", "K7PWx9q1-_.~"]),
    st.text("abcxyz/&=?;#%. ", max_size=30),
    st.text("abcxyz/&=;#%. ", max_size=30),
)
def test_no_parameter_of_a_name_shows_its_secret(parameter, secret, before, after):
    """Whatever stands around it; and what is redacted stays as it is."""
    shown = scrub_name(f"/{before}?{parameter}={secret}&{after}")

    assert secret not in shown
    assert scrub_name(shown) == shown


@given(st.text("abc:/?&=;#%@ {}'\"-_.0123sktoken*", max_size=60))
def test_what_is_redacted_stays_as_it_is(text):
    """A name that a user copies from a table is the name of that endpoint."""
    for scrub in (scrub_name, scrub_text):
        assert scrub(scrub(text)) == scrub(text)


@given(st.text("abcdefghij /{}-_.0123456789", max_size=60))
def test_a_path_without_parameters_is_kept(text):
    """No name loses anything that looks like no secret."""
    assert scrub_name(f"/{text}") == f"/{text}"


def test_a_stored_name_is_short_and_its_own():
    """The same everywhere; two long names stay two."""
    long = "/x/" + "y" * 300

    assert stored_name("/x?key=PW") == "/x?key=***"
    assert len(stored_name(long)) <= MAX_NAME
    assert stored_name(long) != stored_name(long + "z")
    assert stored_name(stored_name(long)) == stored_name(long)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('password := "open-sesame"', "password := ***"),
        (':password => "open-sesame"', ":password => ***"),
        ("Authorization: ApiKey open-sesame", "Authorization: ***"),
        ("authorization=JWT open-sesame", "authorization=***"),
        ("mail: SG.abcdefghijklmnopqrstuv.0123456789abcdefghij", "mail: ***"),
    ],
)
def test_a_value_is_hidden_whole_however_it_is_assigned(given, kept):
    """As other languages print it, and behind whatever scheme."""
    assert scrub_text(given) == kept
    assert "open-sesame" not in scrub_name(given)
    assert scrub_text(scrub_text(given)) == scrub_text(given)
