"""gunicorn's settings for the pricing service: ``gunicorn -c pricing.conf.py pricing:app``."""

bind = "127.0.0.1:5001"
workers = 1
threads = 32
keepalive = 30  # s
