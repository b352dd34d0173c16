"""Tests on TimescaleDB; a package, so that its fixtures, a container, end with it."""
