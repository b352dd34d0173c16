"""Compose asks a container by this whether it is ready."""

import http.server
import socket
import threading

import pytest
from support.waiting import free_port

from swarmscope.container.healthcheck import main


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers 200 under /health and 503 elsewhere."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def port():
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


def test_a_server_that_is_ready_is_healthy(port):
    assert main(f"http:{port}/health") == 0


def test_any_other_answer_is_unhealthy(port):
    assert main(f"http:{port}/elsewhere") == 1


def test_a_server_that_is_away_is_unhealthy_and_says_why(capsys):
    port = free_port()

    assert main(f"http:{port}/health") == 1
    assert "refused" in capsys.readouterr().out


def test_a_worker_is_healthy_while_it_is_connected_to_its_master():
    with socket.create_server(("127.0.0.1", 0)) as master:
        port = master.getsockname()[1]
        assert main(f"connected:{port}") == 1
        with socket.create_connection(("127.0.0.1", port)):
            assert main(f"connected:{port}") == 0
    assert main(f"connected:{port}") == 1
