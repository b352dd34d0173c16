"""Damaged and missing segments cost what they held, and nothing around them."""

from __future__ import annotations

import msgspec
import pytest
from support.journals import RUN, Process, sample, ship_all

from swarmscope.journal.reader import Reader
from swarmscope.journal.records import End
from swarmscope.journal.writer import Writer


def test_damage_costs_what_is_damaged(tmp_path, shipper, query, caplog):
    """What cannot be read is lost and kept as it is; what stands around it arrives."""
    broken, torn, sound = Process(tmp_path), Process(tmp_path, "torn"), Process(tmp_path, "sound")
    broken.samples(sample(0))
    broken.writer.append(b"\xc1 is no MessagePack")
    broken.samples(sample(1))
    torn.samples(sample(2))
    torn.samples(sample(3))
    (path,) = tmp_path.glob(f"{torn.header.journal}*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    sound.samples(sample(4))
    for process in (broken, torn, sound):
        process.writer.close()
    ship_all(shipper)
    arrived = [int(trace, 16) for (trace,) in query("SELECT trace_id FROM request ORDER BY 1")]
    assert arrived == [0, 1, 2, 4]
    assert caplog.text.count("is damaged") == 2
    told = query("SELECT run_text(run_id), text FROM events WHERE kind = 'samples_dropped'")
    assert [(run, text.partition(",")[0]) for run, text in sorted(told)] == [
        (RUN, "samples of torn may be lost"),
        (RUN, "samples of worker may be lost"),
    ]
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    assert not list(tmp_path.glob("*.journal"))


def test_a_damaged_segment_costs_itself(tmp_path, shipper, query, caplog):
    """One of a journal's later segments without a header, one with a length that is none."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 200, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.write(End())
    process.writer.close()
    paths = sorted(tmp_path.glob("*.journal"))
    paths[1].write_bytes(b"?" + paths[1].read_bytes()[1:])
    with Reader(paths[2]) as reader:
        header_end = reader.header_end
    content = bytearray(paths[2].read_bytes())
    content[header_end : header_end + 4] = b"\xff\xff\xff\x7f"
    paths[2].write_bytes(content)
    ship_all(shipper)
    arrived = [int(trace, 16) for (trace,) in query("SELECT trace_id FROM request ORDER BY 1")]
    assert arrived == [*range(50), *range(150, 200)]
    assert caplog.text.count("is damaged") == 2
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    assert not list(tmp_path.glob("*.journal"))


def test_a_damaged_beginning_costs_itself(tmp_path, shipper, query):
    """A journal whose first segment lost its header is delivered from the second on, and told."""
    process = Process(tmp_path, segment_bytes=1_000)
    for begin in range(0, 100, 50):  # a segment each
        process.samples(*(sample(n) for n in range(begin, begin + 50)))
    process.write(End())
    process.writer.close()
    first = min(tmp_path.glob("*.journal"))
    first.write_bytes(b"?" + first.read_bytes()[1:])
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(50,)]
    assert query("SELECT run_text(run_id), kind FROM events") == [(RUN, "samples_dropped")]
    assert list(tmp_path.glob("*.damaged")) == [first.with_suffix(".damaged")]


def test_a_writer_may_take_a_segment_back(tmp_path, shipper, query):
    """On a full disk a new segment may go before the one before it ends: nothing is lost."""
    process = Process(tmp_path)
    process.samples(sample(0))
    (path,) = tmp_path.glob("*.journal")
    new = Writer(tmp_path, msgspec.structs.replace(process.header, segment=1, base=10_000))
    ship_all(shipper)
    process.samples(sample(1))
    new.close()
    max(tmp_path.glob("*.journal")).unlink()
    ship_all(shipper)
    assert query("SELECT count(*) FROM request") == [(2,)]
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"?" * 100], ids=["empty", "damaged"])
def test_a_segment_without_a_header_stops_no_shipper(tmp_path, shipper, query, content):
    """While its writer lives it is waited for; the other journals go on."""
    process, other = Process(tmp_path), Process(tmp_path, "other")
    process.samples(sample(0))
    ship_all(shipper)
    (path,) = tmp_path.glob(f"{process.header.journal}*")
    path.write_bytes(content)
    other.samples(sample(1))
    shipper.round()
    assert query("SELECT count(*) FROM request") == [(2,)]
