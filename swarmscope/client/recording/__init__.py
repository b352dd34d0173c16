"""From Locust's events to the journal, and the shipper that is kept running beside Locust."""
