"""How much load a service can take: the search, its levels and its verdict."""
