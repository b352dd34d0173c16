"""What `benchmarks.listener` compares."""

KINDS = ("none", "ours", "ours with headers", "stock")
