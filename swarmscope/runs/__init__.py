"""The runs database: schema, histogram, queries."""
