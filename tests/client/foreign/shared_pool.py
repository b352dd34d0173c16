"""Connections shared by all users: pool_manager and client_pool."""

from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, HttpUser, constant, task
from urllib3 import PoolManager


class Pooled(HttpUser):
    wait_time = constant(0.04)
    pool_manager = PoolManager(maxsize=10, block=True)

    @task
    def visit(self):
        self.client.get("/pooled")


class FastPooled(FastHttpUser):
    wait_time = constant(0.04)
    client_pool = HTTPClientPool(concurrency=10)

    @task
    def visit(self):
        self.client.get("/pooled/fast")
