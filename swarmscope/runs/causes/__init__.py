"""What broke a run: how long requests hold resources, how many fit, and which was full first."""
