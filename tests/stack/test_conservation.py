"""Conservation: what Locust sent, the API counted, Prometheus scraped and the database has."""

import pytest
from support.databases import database_of_roles
from support.swarm import running_stack
from support.waiting import poll_until

SECONDS = 60  # to wait at most; the machine may have other things to do


@pytest.fixture(scope="module")
def stack(cluster, tmp_path_factory):
    """Run the sample API, Locust's master with two workers, and Prometheus."""
    with (
        database_of_roles(cluster) as database,
        running_stack(tmp_path_factory.mktemp("stack"), database.owner) as stack,
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
