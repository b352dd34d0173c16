"""A scrape that sees one of several processes logs a warning."""

from __future__ import annotations

import subprocess
import sys
import urllib.request

import pytest

SERVERS = """
import os, socket, sys, time
from flask import Flask
from werkzeug.serving import make_server
from swarmscope.server import instrument

app = Flask("forked")
instrument(app)
app.add_url_rule("/hello", view_func=lambda: "hello")
listener = socket.create_server(("127.0.0.1", 0))
listener.set_inheritable(True)
if sys.argv[1] == "siblings":
    pids = [os.fork() for _ in range(2)]
    if all(pids):
        print(listener.getsockname()[1], flush=True)
        os.wait()
else:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print(listener.getsockname()[1], flush=True)
make_server("127.0.0.1", 0, app, fd=listener.fileno()).serve_forever()
"""


@pytest.mark.parametrize(("kind", "told"), [("siblings", True), ("child", False)])
def test_a_scrape_that_sees_one_of_several_processes_says_so(tmp_path, kind, told):
    """Servers that share a socket are several, a child that has inherited it is none."""
    program = tmp_path / "servers.py"
    program.write_text(SERVERS)
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([sys.executable, str(program), kind], stdout=subprocess.PIPE, stderr=log,
                         start_new_session=True) as process,
    ):  # fmt: skip
        try:
            assert process.stdout
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/metrics"
            for _ in range(6):
                with urllib.request.urlopen(url, timeout=20) as answer:
                    assert answer.status == 200
            log_text = (tmp_path / "log").read_text()
        finally:
            subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)
    lines = log_text.count("/metrics has the metrics of one process only, and several serve")
    assert lines == told
