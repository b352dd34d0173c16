"""`swarmscope init`: finds a project's Flask app, and writes its settings and a first scenario."""
