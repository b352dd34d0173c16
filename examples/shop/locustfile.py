"""Shoppers who browse, look at pictures and order, and an accountant who exports."""

import random

from locust import HttpUser, between, task

CUSTOMERS = 50


class Customer(HttpUser):
    """Somebody who is logged in."""

    abstract = True

    def on_start(self) -> None:
        """Log in as one of the customers of a new shop."""
        email = f"customer{random.randint(1, CUSTOMERS)}@example.com"
        self.client.post("/login", data={"email": email, "password": "secret"})


class Shopper(Customer):
    """Browses more than they order."""

    weight = 30
    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Log in, and see what there is."""
        super().on_start()
        self.item_ids: list[int] = []
        self.browse()

    @task(6)
    def browse(self) -> None:
        """Turn to some page."""
        page = random.randint(1, 15)
        found = self.client.get("/items", params={"page": page}, name="/items").json()["items"]
        self.item_ids = [item["id"] for item in found]

    @task(6)
    def look(self) -> None:
        """Look at an item and its picture."""
        item_id = random.choice(self.item_ids)
        self.client.get(f"/items/{item_id}", name="/items/<int:item_id>")
        picture = f"/items/{item_id}/thumbnail.png"
        self.client.get(picture, name="/items/<int:item_id>/thumbnail.png")

    @task(2)
    def order(self) -> None:
        """Order two things."""
        chosen = random.sample(self.item_ids, 2)
        self.client.post("/orders", json={"items": dict.fromkeys(chosen, 1)})

    @task(1)
    def read_orders(self) -> None:
        """Read what was ordered before."""
        self.client.get("/orders")


class Accountant(Customer):
    """Fetches all orders now and then."""

    weight = 1
    wait_time = between(10, 20)

    @task
    def export(self) -> None:
        """Fetch the file."""
        self.client.get("/export/orders.csv")
