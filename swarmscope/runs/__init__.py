"""The runs database, and what is known from it: figures, documents, comparisons, the run page."""
