"""`swarmscope init` and `try`: a project's Flask app found, a first scenario, a first answer."""
