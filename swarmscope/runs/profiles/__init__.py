"""Which code the processes of a run ran, and where requests waited: profiles kept with the run."""
