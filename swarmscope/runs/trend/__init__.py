"""A figure over many runs: where it changed for good, and how much runs differ by themselves."""
