"""Nested task sets."""

from locust import HttpUser, TaskSet, constant, task


class Forum(TaskSet):
    @task(2)
    class Thread(TaskSet):
        @task
        def read(self):
            self.client.get("/forum/thread")

        @task
        def leave(self):
            self.interrupt()

    @task
    def index(self):
        self.client.get("/forum")

    @task
    def leave(self):
        self.interrupt(reschedule=False)


class Member(HttpUser):
    wait_time = constant(0.02)
    tasks = [Forum]

    @task
    def home(self):
        self.client.get("/")
