"""Two runs of one plan, compared: what changed, and whether it is more than noise."""
