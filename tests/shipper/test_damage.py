"""Damage anywhere in a journal: it costs the record that it hit, is kept, and the run says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from support import rolling_writer

from swarmscope.journal.format import MAGIC, MAX_PAYLOAD_BYTES, Damaged, Header, JournalError
from swarmscope.journal.reader import Frame, Reader, Tail
from swarmscope.journal.records import Samples, WorkerStarted, WorkerStopped, run_id
from swarmscope.journal.writer import Writer
from swarmscope.shipper.process import Shipper

START = 1_700_000_000.0
LENGTH_BYTES = 4  # of a frame
STEPS = [11, pytest.param(1, marks=[pytest.mark.proof, pytest.mark.timeout(600)])]


@dataclass
class Small:
    """A journal of a few records, whose writer has died; one sample in each of three blocks."""

    path: Path
    run: str
    ends: list[int]  # of the frames, the header's first

    @property
    def frames(self) -> list[tuple[int, int]]:
        """Where the frames begin and end."""
        return list(pairwise([len(MAGIC), *self.ends]))

    def whole(self, length: int) -> set[int]:
        """Return the samples in the first *length* bytes."""
        return {
            sample for sample, end in zip(range(3), self.ends[2:], strict=False) if end <= length
        }

    def hit(self, position: int) -> int:
        """Return which frame holds the byte at *position*, -1 for none."""
        found = [number for number, (a, b) in enumerate(self.frames) if a <= position < b]
        return found[0] if found else -1


def small(directory: Path, number: int = 0) -> Small:
    """Write a small journal of a run of its own."""
    run = run_id(START + number)
    header = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)
    writer = Writer(directory, header)
    ends = [writer.position]
    blocks = [Samples(run, "plan", 0.0, [rolling_writer.sample(START, n)]) for n in range(3)]
    for record in (
        WorkerStarted(run, "worker", START),
        *blocks,
        WorkerStopped(run, "worker", START),
    ):
        writer.append(msgspec.msgpack.encode(record))
        ends.append(writer.position)
    writer.close()
    (path,) = directory.glob(f"{header.journal}.*")
    return Small(path, run, ends)


def changes(content: bytes, lengths: set[int], step: int) -> Iterator[tuple[int, int]]:
    """Yield positions and other values for them: flipped bits, and growths of a length."""
    for position, value in enumerate(content):
        others = {value ^ 1 << bit for bit in range(position % min(step, 8), 8, step)}
        if position in lengths:
            others |= set(range(value + 1, 256, step))
        yield from ((position, other) for other in others)


def read(path: Path) -> tuple[list[bytes], bool]:
    """Return the payloads of a dead writer's segment, and whether it is damaged."""
    try:
        with Reader(path) as reader:
            found = list(reader.recovered(reader.header_end, Tail.TORN))
    except JournalError:
        return [], True
    payloads = [each.payload for each in found if isinstance(each, Frame)]
    return payloads, any(isinstance(each, Damaged) for each in found)


@pytest.mark.parametrize("step", STEPS)
def test_every_changed_byte_is_noticed(tmp_path, step):
    """Whatever bit flips and however a length grows, all other records are read."""
    it = small(tmp_path)
    content = it.path.read_bytes()
    payloads, _ = read(it.path)
    lengths = {begin + n for begin, _ in it.frames for n in range(LENGTH_BYTES)}
    wrong = []
    for position, value in changes(content, lengths, step):
        it.path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
        hit = it.hit(position)
        expected = payloads[: hit - 1] + payloads[hit:] if hit > 0 else []
        if read(it.path) != (expected, True):
            wrong.append((position, value))
    assert wrong == []


def test_every_torn_end_is_silent(tmp_path):
    """A file that was cut off anywhere has what is whole before, and is not damaged."""
    it = small(tmp_path)
    content = it.path.read_bytes()
    for length in range(it.ends[0], len(content)):
        it.path.write_bytes(content[:length])
        payloads, damaged = read(it.path)
        assert (len(payloads), damaged) == (sum(end <= length for end in it.ends) - 1, False)
    for length in range(it.ends[0]):
        it.path.write_bytes(content[:length])
        with pytest.raises(EOFError):
            Reader(it.path)


@pytest.mark.parametrize(
    ("tail", "damaged"),
    [
        (bytes(4096), False),
        (bytes(4096) + b"x", True),
        (bytes(MAX_PAYLOAD_BYTES + 9), True),
        (b"\xff\xff\xff\x00" + bytes(MAX_PAYLOAD_BYTES), True),
        (b"\x00\x00\x80\x00" + bytes(5000), False),
    ],
    ids=["zeros", "more than zeros", "too many zeros", "too long", "cut off"],
)
def test_a_tail_is_torn_or_damaged(tmp_path, tail, damaged):
    """What is more than the beginning of one frame is no torn write."""
    it = small(tmp_path)
    with it.path.open("ab") as file:
        file.write(tail)
    payloads, found = read(it.path)
    assert (len(payloads), found) == (5, damaged)


@pytest.mark.parametrize("step", STEPS)
def test_damage_is_kept_and_told_with_its_run(tmp_path, shipper, step):
    """A changed byte at each position of a journal of its own: all else is stored, once."""
    size = small(tmp_path / "first").path.stat().st_size
    damaged = {}
    for position in range(len(MAGIC), size, step):
        it = small(tmp_path, position)
        content = bytearray(it.path.read_bytes())
        content[position] ^= 1 << position % 8
        it.path.write_bytes(content)
        damaged[position] = it
    while shipper.round():
        pass
    stored = stored_samples(shipper)
    told = events(shipper, "samples_dropped")
    for position, it in damaged.items():
        hit = it.hit(position)
        expected = {0, 1, 2} - {hit - 2} if hit else set()
        assert stored.get(it.run, []) == sorted(expected), position
        assert told.count(it.run) == 1, position
        assert it.path.with_suffix(".damaged").exists(), position
        assert not it.path.exists(), position


@pytest.mark.parametrize("step", STEPS)
def test_torn_ends_are_delivered_in_silence(tmp_path, shipper, step):
    """A journal cut at each length: what is whole is stored, and no run is said to lose any."""
    size = small(tmp_path / "first").path.stat().st_size
    cut = {}
    for length in range(0, size, step):
        it = small(tmp_path, length)
        it.path.write_bytes(it.path.read_bytes()[:length])
        cut[length] = it
    while shipper.round():
        pass
    stored = stored_samples(shipper)
    assert [
        length for length, it in cut.items() if set(stored.get(it.run, [])) != it.whole(length)
    ] == []
    assert events(shipper, "samples_dropped") == []
    assert not list(tmp_path.glob("*.damaged"))


def stored_samples(shipper: Shipper) -> dict[str, list[int]]:
    """Return the numbers of the samples of each run."""
    rows = shipper._connection.execute(
        "SELECT run_text(run_id), trace_id FROM request ORDER BY 1, 2"
    ).fetchall()
    found: dict[str, list[int]] = {}
    for run, trace in rows:
        found.setdefault(run, []).append(int(trace, 16))
    return found


def events(shipper: Shipper, kind: str) -> list[str]:
    """Return the runs of all events of a kind."""
    rows = shipper._connection.execute(
        "SELECT run_text(run_id) FROM events WHERE kind = %s", (kind,)
    )
    return [run for (run,) in rows.fetchall()]


def test_a_living_writer_goes_on_behind_damage(tmp_path, shipper):
    """Damage in a segment that is still written costs one record; it is told once and kept."""
    writer = Writer(tmp_path, Header(uuid4().hex, 0, 0, "worker", "host", 17, False))
    run = run_id(START)

    def write(number: int) -> None:
        block = Samples(run, "plan", 0.0, [rolling_writer.sample(START, number)])
        writer.append(msgspec.msgpack.encode(block))

    write(0)
    begin = writer.position
    write(1)
    (path,) = tmp_path.glob("*.journal")
    with path.open("r+b") as file:
        file.seek(begin + 20)
        file.write(b"?")
    for _ in range(3):
        shipper.round()
    assert stored_samples(shipper) == {run: [0]}
    write(2)
    write(3)
    shipper.round()
    assert stored_samples(shipper) == {run: [0, 2, 3]}
    writer.close()
    shipper.round()
    assert events(shipper, "samples_dropped") == [run]
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]
