"""Names of requests: name=, request_name, rename_request; own context."""

from locust import HttpUser, constant, task


class Named(HttpUser):
    wait_time = constant(0.03)

    def context(self):
        return {"user": id(self)}

    @task
    def by_argument(self):
        self.client.get("/item/1", name="/item/[id]", context={"item": 1})

    @task
    def by_block(self):
        with self.client.rename_request("/things"):
            self.client.get("/things/1")
            self.client.get("/things/2")

    @task
    def by_attribute(self):
        self.client.request_name = "named"
        self.client.get("/anything")
        self.client.request_name = None
