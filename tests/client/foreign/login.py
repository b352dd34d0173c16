"""Login and logout in on_start and on_stop; session headers, cookies, credentials."""

from locust import HttpUser, constant, task


class Member(HttpUser):
    wait_time = constant(0.04)

    def on_start(self):
        self.client.auth = ("user", "secret")
        self.client.cookies.set("session", "1")
        self.client.post("/login", json={"user": "me"})
        self.client.headers.update({"Authorization": "Bearer token"})

    def on_stop(self):
        self.client.post("/logout")

    @task
    def account(self):
        self.client.get("/account")
