"""Commands of redis-py are the component `cache`."""

import pytest
from support.key_value import running_key_value_server
from support.server_timing import calls, timing

from swarmscope.server import instrument


@pytest.fixture(name="port")
def _port():
    """A server that answers every command of a client with OK, 30 ms later."""
    with running_key_value_server(0.03) as port:
        yield port


def test_commands_and_pipelines_are_calls(app, port):
    """A pipeline is one, whatever it holds."""
    import redis

    instrument(app)
    client = redis.Redis(port=port, protocol=2)

    @app.get("/")
    def index():
        client.set("a", "1")
        with client.pipeline(transaction=False) as pipeline:
            pipeline.set("b", "2")
            pipeline.set("c", "3")
            pipeline.execute()
        return "ok"

    response = app.test_client().get("/")

    assert response.status_code == 200
    assert calls(response) == {"cache": 2}
    assert timing(response)["cache"] >= 90
