"""Whether the load generator is the limit: its health, the verdict on it, its metrics port."""
