"""The shipper: the process beside Locust that delivers journals to the runs database."""
