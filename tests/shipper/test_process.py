"""One journal that cannot be read or deleted does not keep the others from delivery."""

from __future__ import annotations

from pathlib import Path

from support.journals import Process, sample, ship_all

from swarmscope.journal.records import End


def test_what_is_no_journal_of_ours_is_left(tmp_path, shipper, query, caplog):
    """A newer version's journal and a copy of one stay; one line each; the others arrive."""
    process = Process(tmp_path)
    process.samples(sample(0))
    process.writer.close()
    (path,) = tmp_path.glob("*.journal")
    copy, newer = tmp_path / "copy.00000000.journal", tmp_path / "newer.00000000.journal"
    copy.write_bytes(path.read_bytes())
    newer.write_bytes(b"SWRMJRN\x02" + path.read_bytes()[8:])
    for _ in range(3):
        ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(1,)]
    assert set(tmp_path.glob("*.journal")) == {copy, newer}
    assert caplog.text.count("left unchanged") == 2
    assert shipper.is_empty()


def test_a_file_that_cannot_be_deleted_is_told_once(tmp_path, shipper, query, caplog, monkeypatch):
    """The others go on, and nothing is delivered twice."""
    kept, other = Process(tmp_path, "kept"), Process(tmp_path, "other")
    for process in (kept, other):
        process.samples(sample(0))
        process.write(End())
        process.writer.close()
    unlink = Path.unlink

    def refuse(path: Path, **more: bool) -> None:
        if path.name.startswith(kept.header.journal):
            raise PermissionError("not here")
        unlink(path, **more)

    monkeypatch.setattr(Path, "unlink", refuse)
    for _ in range(3):
        ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert caplog.text.count("not here") == 1
    assert not list(tmp_path.glob(f"{other.header.journal}*"))


def test_a_journal_that_is_gone_is_forgotten(tmp_path, shipper, query):
    """Files that somebody else delivered, or removed, are no work and no error."""
    process = Process(tmp_path)
    process.samples(sample(0))
    ship_all(shipper)
    for path in tmp_path.glob("*.journal"):
        path.unlink()
    assert not shipper.round()
    assert shipper._deliveries == {}
    assert query("SELECT count(*) FROM request") == [(1,)]
