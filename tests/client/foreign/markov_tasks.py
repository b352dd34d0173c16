"""MarkovTaskSet."""

from locust import HttpUser, MarkovTaskSet, constant, transition, transitions


class Journey(MarkovTaskSet):
    @transition("search")
    def home(self):
        self.client.get("/home")

    @transitions({"home": 1, "search": 2})
    def search(self):
        self.client.get("/search")


class Traveller(HttpUser):
    wait_time = constant(0.03)
    tasks = [Journey]
