"""Listeners with a journal of their own."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from support.listeners import RUN, options

from swarmscope.client.recording.listener import Listener
from swarmscope.journal.format import Header


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a listener, with a run that is on."""
    made = []

    def make(directory: Path = tmp_path / "journals", **more: object) -> Listener:
        header = Header(uuid4().hex, 0, 0, "worker", "host", 17, False)
        listener = Listener(options(directory, **more), header)
        listener.begin(RUN, "plan", works=True)
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener._flusher.kill()
