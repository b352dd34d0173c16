"""The resources of a run: how many places they have, how many are in use, what waits."""
