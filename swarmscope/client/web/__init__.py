"""What is added to Locust's web UI: the page, and who may use it."""
