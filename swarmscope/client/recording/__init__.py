"""From Locust's events to the journal, and the shipper that runs beside Locust."""
