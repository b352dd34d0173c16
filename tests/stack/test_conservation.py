"""Conservation: what Locust sent, the API counted, Prometheus scraped and the database has."""

import psycopg
import pytest
from support.databases import database_of_roles
from support.swarm import running_stack
from support.waiting import poll_until

from swarmscope.runs import queries
from swarmscope.runs.histogram import COMPONENTS

SECONDS = 60  # to wait at most; the machine may have other things to do


@pytest.fixture(scope="module")
def statements(tmp_path_factory):
    """The file that has as many bytes as requests have executed statements."""
    return tmp_path_factory.mktemp("statements") / "executed"


@pytest.fixture(scope="module")
def stack(cluster, tmp_path_factory, statements):
    """Run the sample API, Locust's master with two workers, and Prometheus."""
    with (
        database_of_roles(cluster) as database,
        running_stack(
            tmp_path_factory.mktemp("stack"),
            database.owner,
            application="support.traced_api:create_app()",
            STATEMENTS=str(statements),
        ) as stack,
    ):
        yield stack


def swarm(stack, users):
    """Run a swarm through the UI's interface, stopped with requests under way; return its sent."""
    before = stack.counted()
    stack.start(users, 20)
    poll_until(lambda: stack.done() > 2 * users, "requests of each user", SECONDS)
    stack.stop()
    poll_until(lambda: stack.counted() - before == stack.done(), "sent = counted", SECONDS)
    return stack.done()


def test_sent_is_counted_is_scraped_is_stored(stack):
    """Two swarms of one Locust, exactly: no request is lost, twice, or in the other's run."""
    sent = [swarm(stack, users) for users in (20, 10)]

    poll_until(stack.all_delivered, "every journal's stop record", SECONDS)
    poll_until(lambda: stack.scraped() == sum(sent), "counted = scraped", SECONDS)
    assert stack.stored_by_run() == sent
    assert stack.counted() == sum(sent)


def test_components_are_conserved(stack, statements):
    """Each request's add up to its service time; windows have them all; no statement is lost."""
    sent = swarm(stack, 10)
    poll_until(stack.all_delivered, "every journal's stop record", SECONDS)

    with psycopg.connect(stack.database) as connection:
        (divided,) = connection.execute(
            "SELECT count(*) FROM request WHERE run_id = (SELECT max(id) FROM testrun)"
            " AND cpu_ms + db_ms + pool_ms + http_ms + cache_ms <= service_ms + 0.05"
        ).fetchone()
        (executed,) = connection.execute("SELECT sum(db_calls) FROM request").fetchone()
        parts = dict(
            connection.execute(
                "SELECT part, ARRAY[sum(count), sum(sum_ms)] FROM histogram WHERE resolution = 10"
                " AND name = '' AND run_id = (SELECT max(id) FROM testrun) GROUP BY part"
            ).fetchall()
        )
        run = queries.find(connection, "latest").run_id
        rows = queries.component_summary(connection, run, whole=True, names=[""])
    figures = {row.part: row.mean for row in rows}

    assert divided == parts["cpu"][0] == parts["service"][0] == sent
    assert executed == statements.stat().st_size
    components = sum(parts[part][1] for part in COMPONENTS if part in parts)
    assert components == pytest.approx(parts["service"][1], rel=0.001)
    assert figures["db_calls"] * sent == pytest.approx(parts["db_calls"][1])
    assert sum(figures[part] for part in COMPONENTS if part in figures) == pytest.approx(
        parts["service"][1] / sent, rel=0.001
    )
