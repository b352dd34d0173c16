"""Which code the workers run, and where requests wait: profiles, taken only when asked for.

The arbiter answers ``/debug/pprof/…`` on the metrics port. It asks its workers through a file
beside their metrics, wakes them by a signal, and merges their answers. Until somebody asks, a
worker has a signal handler and nothing else: no timer, no thread, no step in the path of a request.
"""
