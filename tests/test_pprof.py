"""The encoder, by an independent reader and by ``go tool pprof``."""

import shutil
import subprocess

import pytest
from support.profiling import read

from swarmscope.server.profiles.endpoint import _pprof as encode
from swarmscope.server.profiles.folded import fold
from swarmscope.server.profiles.merging import WorkersProfile, merged

ANSWER = {
    "slot": "0",
    "pid": 12,
    "note": "",
    "cpu_s": 1.5,
    "own_cpu_s": 0.0042,
    "seconds": 3.0,
    "wake_delays_s": [0.0002, 0.0058, 0.1],
    "locations": [
        ["(other stacks)", "", 0, 0],
        ["render", "/srv/shop/views.py", 88, 91],
        ["view", "/srv/shop/views.py", 10, 300],
        ["dumps", "/usr/lib/python3.11/json/__init__.py", 183, 200],
    ],
    "stacks": [
        ["/orders", [1, 2], [3, 30_000_000]],
        ["/orders", [3, 1, 2], [60, 600_000_000]],
        ["", [2], [1, 370_000_000]],
    ],
}
OTHER = {
    **ANSWER,
    "slot": "1",
    "locations": [["view", "/srv/shop/views.py", 10, 300]],
    "stacks": [["", [0], [1, 5_000_000_000]]],
}


def profile(*answers):
    types = (("samples", "count"), ("cpu", "nanoseconds"))
    return merged(WorkersProfile(types, 3.0, 100, 1_700_000_000.5, "shop:app"), answers)


def test_it_is_read_as_it_was_written():
    found = read(encode(profile(ANSWER, OTHER)))

    assert found.types == ["samples", "cpu"]
    assert found.seconds == 3
    assert found.total("dumps", "/orders") == 600_000_000
    assert found.total("render", "/orders") == 630_000_000
    assert found.total("view", "") == 5_370_000_000  # of both workers, one stack
    assert len(found.samples) == 3
    assert found.files["render"] == "/srv/shop/views.py"
    assert found.comments[0] == (
        "worker 0 (pid 12): 1.50 s of CPU time in 3.0 s, 0.004 s of it to sample; a thread woke up"
        " late by 0.2 ms (median), 5.8 (p95), 100.0 (max)"
    )


@pytest.mark.skipif(shutil.which("go") is None, reason="needs go")
def test_go_reads_it(tmp_path):
    """Functions, lines, labels and comments."""
    file = tmp_path / "profile"
    file.write_bytes(encode(profile(ANSWER)))

    def pprof(*options):
        command = ["go", "tool", "pprof", *options, str(file)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    top = pprof("-top")
    assert "File: shop.app" in top
    assert "Type: cpu" in top
    assert "600ms 60.00% 60.00%      600ms 60.00%  dumps" in top
    assert "Duration: 3s" in pprof("-top", "-tagfocus=route=/orders")
    lines = pprof("-top", "-lines", "-cum")
    assert "view /srv/shop/views.py:300" in lines
    assert "/orders" in pprof("-tags")
    assert "worker 0 (pid 12)" in pprof("-comments")


def test_folded_text():
    """Sums are those of the last type, in microseconds."""
    assert fold(profile(ANSWER)).decode().splitlines() == [
        "/orders;view (/srv/shop/views.py:300);render (/srv/shop/views.py:91);"
        "dumps (json/__init__.py:200) 600000",
        "(no request);view (/srv/shop/views.py:300) 370000",
        "/orders;view (/srv/shop/views.py:300);render (/srv/shop/views.py:91) 30000",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {**ANSWER, "stacks": [["/x", [99], [1, 1]]]},
        {**ANSWER, "stacks": [["/x", [1], [1, 1, 1]]]},
        {**ANSWER, "locations": "nonsense"},
    ],
)
def test_an_answer_of_another_shape_spoils_nothing(answer):
    """It is said."""
    found = read(encode(profile(answer, ANSWER)))

    assert found.total("dumps") == 600_000_000
    assert found.comments[0].startswith("an answer cannot be understood")


def test_negative_numbers_end():
    """A varint of one would never."""
    answer = {**ANSWER, "stacks": [["/x", [1], [-1, -5]]]}

    assert read(encode(profile(answer))).total() == 0
