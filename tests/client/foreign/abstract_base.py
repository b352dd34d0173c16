"""An abstract base class and a mixin."""

from locust import FastHttpUser, constant, task


class Paged:
    def page(self, number):
        return self.client.get(f"/list?page={number}", name="/list?page=[number]")


class Base(FastHttpUser, Paged):
    abstract = True
    wait_time = constant(0.03)

    def on_start(self):
        self.client.default_headers = {"X-Client": type(self).__name__}


class First(Base):
    @task
    def first(self):
        self.page(1)


class Second(Base):
    @task
    def second(self):
        self.page(2)
