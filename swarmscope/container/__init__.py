"""One-shot helpers of the container images."""
