"""`swarmscope ab`: two revisions or settings of an app, served and driven by turns, compared."""
