"""Commands of redis-py are the component `cache`."""

import pytest
from support.database_servers import running_redis
from support.server_timing import calls, timing

from swarmscope.server import instrument


@pytest.fixture(name="port", scope="module")
def _port():
    with running_redis() as port:
        yield port


def test_commands_and_pipelines_are_calls(app, port):
    """A pipeline is one, whatever it holds; a command that fails is one, too."""
    import redis

    instrument(app)
    client = redis.Redis(port=port)

    @app.get("/")
    def index():
        client.set("a", "1")
        with client.pipeline() as pipeline:
            pipeline.incr("a")
            pipeline.execute_command("DEBUG", "SLEEP", 0.03)
            assert pipeline.execute() == [2, b"OK"]
        client.execute_command("DEBUG", "SLEEP", 0.03)
        with pytest.raises(redis.ResponseError):
            client.lpush("a", "1")
        return client.get("a")

    response = app.test_client().get("/")

    assert response.text == "2"
    assert calls(response) == {"cache": 5}
    assert 60 <= timing(response)["cache"] <= timing(response)["app"]
