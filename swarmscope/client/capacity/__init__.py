"""How much load the service can take: the search, its levels and its verdict."""
