"""Locust's own tests of its FastHttpUser, run with ours in its place.

They are in no package: ``LOCUST_SOURCE`` names a checkout of github.com/locustio/locust, of the tag
that is installed or a near one. They need pyquery and cryptography.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

RUN = """
import sys, unittest, locust
locust.__path__.append(sys.argv[1] + "/locust")  # for locust.test; the rest is the installed one
import locust.test.test_fasthttp as tests
if sys.argv[2] == "ours":
    from swarmscope.client.http.session import Session
    from swarmscope.client.workload.users import FastHttpUser
    tests.FastHttpUser, tests.FastHttpSession = FastHttpUser, Session
unittest.main(module=tests, argv=["locust"])
"""
SOURCE = os.environ.get("LOCUST_SOURCE", "")
MISSING = [name for name in ("pyquery", "cryptography") if importlib.util.find_spec(name) is None]


def failures(kind: str) -> tuple[int, set[str]]:
    """Return how many tests ran with the users of *kind*, and the names of those that failed."""
    command = [sys.executable, "-c", RUN, SOURCE, kind]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    number = re.search(r"^Ran (\d+) tests", output, re.MULTILINE)
    assert number, output
    return int(number[1]), set(re.findall(r"^(?:FAIL|ERROR): (\w+)", output, re.MULTILINE))


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.skipif(not SOURCE, reason="LOCUST_SOURCE names no checkout of Locust")
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_what_locusts_users_pass_ours_pass():
    """Those that the installed Locust fails itself, as of another version, do not count."""
    count, theirs = failures("stock")
    ours_count, ours = failures("ours")

    assert count == ours_count > 60
    assert len(theirs) <= 3
    assert not ours - theirs
