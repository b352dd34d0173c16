"""The load generator's end: what a locustfile imports."""
