"""Whether the load generator is the limit: its health, what follows from it, its metrics port."""
