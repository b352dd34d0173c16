"""The files between arbiter and workers."""

import os

from swarmscope.server.profiles import exchange


def test_a_question_and_its_answers(tmp_path):
    question = exchange.ask(tmp_path, exchange.CPU, 100, 12.5)

    assert exchange.question(tmp_path) == question
    exchange.answer(tmp_path, question, {"slot": "0"})
    assert list(exchange.answered(tmp_path, question)) == [os.getpid()]
    assert list(exchange.answers(tmp_path, question)) == [{"slot": "0"}]
    assert list(exchange.answered(tmp_path, question, exchange.REFUSED)) == []

    exchange.withdraw(tmp_path)
    assert exchange.question(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    exchange.answer(tmp_path, question, {"slot": "0"})  # too late
    assert list(tmp_path.iterdir()) == []


def test_links_in_the_directory_are_not_followed(tmp_path):
    """A worker may put them there, and the arbiter may be root."""
    directory, secret = tmp_path / "metrics", tmp_path / "secret"
    directory.mkdir()
    secret.write_text('{"a": "secret"}')
    for name in (exchange.QUESTION, f".{exchange.QUESTION}"):
        (directory / name).symlink_to(secret)

    question = exchange.ask(directory, exchange.CPU, 100, 12.5)
    (directory / f"profile-{question.id}-1.sampled").symlink_to(secret)

    assert list(exchange.answers(directory, question)) == []
    assert secret.read_text() == '{"a": "secret"}'
