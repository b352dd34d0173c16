"""Load shapes to choose from: in the UI's class picker, or with ``--shape NAME``."""

from swarmscope.client import Capacity, Smoke, Soak, Spike, Steady, Steps

__all__ = ["Capacity", "Smoke", "Soak", "Spike", "Steady", "Steps"]
