"""swarmscope shows a load test from both ends: what clients felt and what the server did."""

__version__ = "0.1.0"
