"""What the locustfiles of this directory share."""
