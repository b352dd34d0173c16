"""The service's end: what a Flask app and its gunicorn import."""
