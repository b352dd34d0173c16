"""The command that starts Locust with swarmscope in it, whatever the scenario imports."""

from __future__ import annotations

import sys

# -P: no module of the scenario's directory takes the place of one that Locust imports
LOCUST = (sys.executable, "-P", "-m", "swarmscope.client.locust_main")


def locust_command(locustfile: str) -> tuple[str, ...]:
    """Return the beginning of the command of a master or worker that is recorded.

    *locustfile* is what Locust's ``-f`` takes; what makes it master or worker is to be appended.
    """
    return (*LOCUST, "-f", locustfile, "--timescale")
