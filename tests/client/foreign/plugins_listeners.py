"""Listeners and wait times of locust-plugins, its Timescale listener among them."""

from locust import FastHttpUser, events, task
from locust_plugins import constant_total_ips
from locust_plugins.listeners import RescheduleTaskOnFail


@events.init.add_listener
def add_listeners(environment, **_):
    from locust_plugins.listeners.timescale import Timescale

    Timescale(env=environment)
    RescheduleTaskOnFail(environment)


class Visitor(FastHttpUser):
    wait_time = constant_total_ips(30)

    @task
    def visit(self):
        self.client.get("/status/500")
        self.client.get("/never reached")
