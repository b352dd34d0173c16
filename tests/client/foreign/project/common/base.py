"""The users' base."""

from locust import HttpUser, constant


class Base(HttpUser):
    abstract = True
    wait_time = constant(0.03)
