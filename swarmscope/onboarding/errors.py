"""What stops `swarmscope init`."""

from __future__ import annotations


class Unclear(Exception):
    """The project does not show what is needed; the text is a line or two for the user."""
