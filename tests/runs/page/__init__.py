"""Tests of the run page; a package, so that its fixtures end with it: a browser runs a loop."""
