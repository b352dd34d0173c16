"""What was full: the resources of a run, what they can take, and which one broke first."""
