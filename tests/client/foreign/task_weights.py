"""Tasks as functions in a weighted dictionary."""

from locust import HttpUser, constant


def index(user):
    user.client.get("/")


def about(user):
    user.client.head("/about")


class Visitor(HttpUser):
    wait_time = constant(0.03)
    tasks = {index: 3, about: 1}
