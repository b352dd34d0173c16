"""Locust's side of shipping: when a shipper is started, and when no more."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import gevent
import pytest
from support.waiting import free_port

from swarmscope.client.frozen_options import Options
from swarmscope.client.recording import shipper_process
from swarmscope.journal.format import Header
from swarmscope.journal.writer import Writer

LISTENER = SimpleNamespace(spool=SimpleNamespace(journal="ours"))


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Return Locust's side of a directory with a newer version's journal, and what it starts."""
    journals = tmp_path / "journals"
    journals.mkdir()
    (journals / "newer.00000000.journal").write_bytes(b"SWRMJRN\x02" + bytes(100))
    popen = Mock(side_effect=subprocess.Popen)
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(shipper_process, "WATCH_SECONDS", 0.01)
    options = Options(
        plan="",
        grafana_url="",
        test_env="",
        test_version="",
        description="",
        iterations_per_second=0.0,
        connection={"PGHOST": "127.0.0.1", "PGPORT": str(free_port())},
        journal_directory=journals,
        journal_limit_bytes=1 << 20,
        drain_seconds=5.0,
    )
    ours = shipper_process.ShipperProcess(options, LISTENER)
    yield ours, popen, journals
    ours._watcher.kill()


def rounds(count: int) -> None:
    """Let the watcher look so many times."""
    for _ in range(count):
        gevent.sleep(shipper_process.WATCH_SECONDS)


def started(ours: shipper_process.ShipperProcess, popen: Mock) -> subprocess.Popen[bytes]:
    """Return the shipper that the watcher has started."""
    rounds(3)
    assert ours._child is not None
    assert popen.call_count
    return ours._child


def test_a_machine_without_room_for_a_process_is_asked_again(watched, caplog):
    """One line says so, the watcher lives on, and the shipper starts when there is room."""
    ours, popen, _ = watched
    refusals = iter([BlockingIOError(11, "try again"), OSError(12, "no memory")])
    real = popen.side_effect

    def start(*arguments: object, **more: object) -> subprocess.Popen[bytes]:
        if error := next(refusals, None):
            raise error
        return real(*arguments, **more)

    popen.side_effect = start
    rounds(5)
    assert caplog.text.count("Cannot start a shipper") == 1
    assert "try again" in caplog.text
    assert ours._child.wait(30) == shipper_process.progress.UNREADABLE


def test_a_damaged_journal_holds_up_no_end(watched):
    """What nobody can read has no end to wait for."""
    *_, journals = watched
    assert shipper_process._end(journals / "newer.00000000.journal") == 0


def test_no_shipper_is_started_again_for_what_none_can_read(watched):
    """An idle swarm beside a newer version's journal starts one shipper, not one each second."""
    ours, popen, journals = watched
    assert started(ours, popen).wait(30) == shipper_process.progress.UNREADABLE
    rounds(50)
    assert popen.call_count == 1
    Path(journals / "ours.00000000.journal").write_bytes(b"")
    rounds(3)
    assert popen.call_count == 2  # our own journal is worth one
    ours._child.terminate()
    ours._child.wait(30)


def test_journals_to_be_kept_are_left_to_people(watched, caplog):
    """No shipper is started for them; at the end their owner is told how they are delivered."""
    other, popen, journals = watched
    other._watcher.kill()
    popen.reset_mock()
    header = Header("ours", 0, 0, "worker", "host", 17, False)
    Writer(journals, header).close()
    ours = shipper_process.ShipperProcess(replace(other._options, keep_journals=True), LISTENER)

    rounds(3)
    ours.wait(set(), shows=False)

    assert popen.call_count == 0
    assert f"are kept in {journals}: 'swarmscope ship {journals}'" in caplog.text
