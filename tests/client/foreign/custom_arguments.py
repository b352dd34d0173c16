"""Arguments of its own, read from parsed_options."""

from locust import HttpUser, constant, events, task


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument("--tenant", env_var="TENANT", default="nobody")
    parser.add_argument("--api-key", is_secret=True, default="")


class Tenant(HttpUser):
    wait_time = constant(0.03)

    @task
    def fetch(self):
        options = self.environment.parsed_options
        self.client.get(f"/{options.tenant}/data", headers={"X-Api-Key": options.api_key})
