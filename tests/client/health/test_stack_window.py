"""What a window of a process's own stacks holds, and how large it may be."""

from __future__ import annotations

import random
import sys

import pytest

from swarmscope.client.health.stack_window import MAX_BYTES, bounded, is_own
from swarmscope.runs.profiles.model import CPU, OTHER, Frame, Profile, decode


def test_a_window_is_never_too_large_for_the_journal():
    """Whatever files are called: fewer stacks are kept then, and no time is lost."""
    names = random.Random(1)
    frames = [Frame(names.randbytes(150).hex(), "locustfile.py", 1, True) for _ in range(5_000)]
    stacks = {("", tuple(frames[n::500])): n + 1 for n in range(500)}

    encoded = bounded(Profile(CPU, 15.0, stacks))

    assert len(encoded) <= MAX_BYTES
    kept = decode(CPU, 15.0, encoded)
    assert 100 < len(kept.stacks) < 500
    assert ("", (OTHER,)) in kept.stacks
    assert kept.total_us == sum(range(1, 501))


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/srv/load/locustfile.py", True),
        ("/srv/load/lib/signing.py", True),
        ("/venv/lib/python3.12/site-packages/shop_load/helpers.py", True),
        ("/venv/lib/python3.12/site-packages/locust/user/users.py", False),
        ("/usr/lib/python3.12/json/encoder.py", False),
        (f"{sys.prefix}/bin/locust", False),
        ("<string>", False),
        ("", False),
    ],
)
def test_own_code_is_the_locustfile_and_what_lies_beside_it(file, own):
    """Also where that is installed; all other libraries are not."""
    beside = {"/srv/load", "/venv/lib/python3.12/site-packages/shop_load", ""}

    assert is_own(file, beside) is own
