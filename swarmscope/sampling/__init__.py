"""A process samples its own stacks: what both ends need for profiles; ground floor."""
