"""Who may take a profile."""

import pytest

from swarmscope.server.profiles.access import refusal


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("right\n")
    return str(path)


@pytest.mark.parametrize(
    ("peer", "host"),
    [("127.0.0.1", "localhost:9102"), ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]:9102")],
)
def test_this_machine_needs_no_token(peer, host):
    assert refusal({"host": host}, peer, None) == ""


@pytest.mark.parametrize(
    ("peer", "host"),
    [("10.0.0.7", "localhost"), ("127.0.0.1", "evil.example"), ("127.0.0.1", "")],
)
def test_others_need_the_token(peer, host, token_file, tmp_path):
    """So does a request from here under a foreign name."""
    headers = {"host": host, "authorization": "Bearer right"}

    assert refusal(headers, peer, token_file) == ""
    for wrong in ("Bearer wrong", "Bearer ", "Basic right", "", "Bearer right x"):
        assert "needs the token" in refusal({**headers, "authorization": wrong}, peer, token_file)
    assert "no token is set" in refusal(headers, peer, None)
    (tmp_path / "token").write_text("")
    assert "needs the token" in refusal({**headers, "authorization": "Bearer"}, peer, token_file)
    (tmp_path / "token").unlink()
    assert "cannot be read" in refusal(headers, peer, token_file)
