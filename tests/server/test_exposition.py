"""The text of all slots' values is what prometheus_client would make of them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from support.instrumented import exposed
from support.scraping import parse

from swarmscope.server.directory import forget_worker
from swarmscope.server.exposition import Exposition
from swarmscope.server.slots import FILES


def fill(registry):
    """Give every type and mode of metric a value, with what text has to escape."""
    text = 'a "quoted"\nback\\slash'
    Counter("c", text, ["x"], registry=registry).labels(text).inc(1.5)
    Summary("s", "", registry=registry).observe(3)
    Histogram("h", "", ["x", "z"], registry=registry).labels("1", "é").observe(0.3)
    Histogram("bare", "", registry=registry).observe(1e9)
    for mode in Gauge._MULTIPROC_MODES:
        gauge = Gauge(f"g_{mode}", "", ["x"], registry=registry, multiprocess_mode=mode)
        gauge.labels("a").set(float(FILES.slot or 0) + 0.5)
    for number in range(300):  # the files grow beyond their first size
        Histogram(f"many_{number}", "", registry=registry).observe(number)


def test_the_text_is_what_prometheus_client_would_make_of_it(directory):
    """Sample by sample, over several slots: sums, buckets, every mode of gauge, escaping."""
    for slot in ("0", "1", "2"):
        FILES.attach(directory, slot)
        fill(CollectorRegistry())
    theirs = CollectorRegistry()
    MultiProcessCollector(theirs, str(directory))
    expected = parse(generate_latest(theirs).decode())
    ours = Exposition(directory)

    assert parse(ours.render().decode()) == expected
    assert len(expected) > 300 * 17
    assert parse(ours.render().decode()) == expected  # nothing is added up twice


def test_a_changed_help_makes_no_second_series(directory):
    """A reload brings a new wording: counters go on, and no sample stands twice in the text."""
    for text, amount in (("Jobs", 5), ("Jobs that were done", 2)):
        registry = CollectorRegistry()
        Counter("c", text, registry=registry).inc(amount)
        Histogram("h", text, registry=registry).observe(amount)
        Gauge("g", text, registry=registry).set(amount)

    lines = Exposition(directory).render().decode().splitlines()
    names = [line.rpartition(" ")[0] for line in lines]

    assert len(set(names)) == len(names)
    assert {"c_total 7.0", "h_count 2.0", "h_sum 7.0", 'g{pid="0"} 2.0'} <= set(lines)


def test_series_that_come_later_are_shown(directory, registry):
    """A reader notices new series, new files, files that grew and files that went."""
    counter = Counter("c", "", ["x"], registry=registry)
    reader = Exposition(directory)
    counter.labels("a").inc()
    assert parse(reader.render().decode()).total("c_total") == 1

    for number in range(2000):
        counter.labels(number).inc()
    gauge = Gauge("g", "", registry=registry, multiprocess_mode="livesum")
    gauge.set(7)
    found = parse(reader.render().decode())
    assert (found.total("c_total"), found.value("g")) == (2001, 7)

    forget_worker(directory, "0")
    found = parse(reader.render().decode())
    assert found.total("c_total") == 2001
    assert ("g", frozenset()) not in found

    FILES.attach(directory, "0")
    gauge.inc(1)
    assert parse(reader.render().decode()).value("g") == 1


def test_a_file_that_is_being_made_is_no_error(directory, registry):
    """It is empty for a moment; and a file of another's is not ours to read."""
    Counter("c", "", registry=registry).inc()
    (directory / "histogram_7.db").touch()
    (directory / "notes.txt").write_text("x")

    assert exposed(directory).value("c_total") == 1
