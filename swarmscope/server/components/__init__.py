"""What a request's service time is made of: CPU, and waiting in calls of known libraries.

A library is hooked once the app has imported it, and never imported from here: one that is absent
costs nothing.
"""
