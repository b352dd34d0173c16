"""The journal: a spool on disk that Locust processes append to and the shipper reads."""
