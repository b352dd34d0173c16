"""Commands of redis-py are the component `cache`."""

import socketserver
import threading
import time

import pytest
from support.server_timing import calls, timing

from swarmscope.server import instrument


@pytest.fixture(name="port")
def _port():
    """A server that answers every command of a client with OK, 30 ms later."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                for _ in range(2 * int(line[1:])):
                    self.rfile.readline()
                time.sleep(0.03)
                self.wfile.write(b"+OK\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


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
