"""What the arbiter knows, asked of real sockets."""

import socket

from support.waiting import poll_until

from swarmscope.server.arbiter import backlog, tcp_address


def test_a_backlog_is_told_whatever_gunicorns_sockets_can_say():
    """Of a listener of TCP; of others nobody tells it. gunicorn 22 and 23 have no word for it."""
    with socket.create_server(("127.0.0.1", 0), backlog=7) as listener:
        assert backlog(listener) == (0, 7)
        with socket.create_connection(listener.getsockname()):
            poll_until(lambda: backlog(listener) == (1, 7), "the kernel to tell it")
    with socket.socket(socket.AF_UNIX) as unix:
        assert backlog(unix) is None
    assert backlog(None) is None


def test_where_a_service_listens():
    """Of TCP, with its port; other sockets have no such address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert tcp_address(listener) == f"127.0.0.1:{port}"
    assert tcp_address(listener) == ""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        assert tcp_address(listener) == f"[::1]:{listener.getsockname()[1]}"
    with socket.socket(socket.AF_UNIX) as unix:
        assert tcp_address(unix) == ""
    assert tcp_address(None) == ""
