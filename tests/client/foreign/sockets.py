"""A protocol over plain sockets, measured with events.request.measure."""

import socket
from urllib.parse import urlsplit

from locust import User, constant, task


class Raw(User):
    wait_time = constant(0.05)

    @task
    def ping(self):
        address = urlsplit(self.host)
        with (
            self.environment.events.request.measure("TCP", "ping") as meta,
            socket.create_connection((address.hostname, address.port)) as connection,
        ):
            connection.sendall(b"GET /ping HTTP/1.1\r\n\r\n")
            meta["response_length"] = len(connection.recv(1000))

    @task
    def fail(self):
        with self.environment.events.request.measure("TCP", "fail"):
            raise ConnectionError("as planned")
