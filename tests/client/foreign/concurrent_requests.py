"""Several requests at a time in one task."""

from gevent.pool import Pool
from locust import FastHttpUser, constant, task


class Page(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def load(self):
        self.client.get("/page")
        pool = Pool(3)
        for number in range(3):
            pool.spawn(self.client.get, f"/asset/{number}")
        pool.join()
