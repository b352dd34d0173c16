"""Where settings come from, and what is made of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.ports import PORTS
from swarmscope.stack.project import read_project
from swarmscope.stack.services import locust_master, locust_workers
from swarmscope.stack.settings import locust_environment, read_settings
from swarmscope.stack.shipped import shipped


def test_defaults(tmp_path: Path) -> None:
    """Without `.env` and environment everything has its documented default."""
    settings = read_settings(tmp_path, {})

    assert settings.home == tmp_path / ".swarmscope"
    assert settings.ports == {name: port.default for name, port in PORTS.items()}
    assert settings.locust_workers >= 1
    assert settings.grafana_home is None


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """As in Compose: what is exported wins, what is empty counts as not set."""
    (tmp_path / ".env").write_text(
        "API_PORT=5001\nexport LOCUST_WEB_PORT='8090' # mine\nGRAFANA_PORT=\nSWARMSCOPE_HOME=data\n"
    )

    settings = read_settings(tmp_path, {"API_PORT": "5002", "PROMETHEUS_PORT": ""})

    assert settings.home == tmp_path / "data"
    assert settings.ports["API_PORT"] == 5002
    assert settings.ports["LOCUST_WEB_PORT"] == 8090
    assert settings.ports["GRAFANA_PORT"] == 3000
    assert settings.ports["PROMETHEUS_PORT"] == 9090
    assert settings.environment["API_PORT"] == "5002"


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_bad_number_of_seconds(tmp_path: Path, value: str) -> None:
    """It would become a time that supervisord cannot wait for."""
    with pytest.raises(StackError, match=f"^LOCUST_DRAIN_TIME={value}: must be a number"):
        read_settings(tmp_path, {"LOCUST_DRAIN_TIME": value})


def test_the_api_must_listen_where_the_stack_asks(tmp_path: Path) -> None:
    """Another address would be found out by nobody answering for a minute and a half."""
    for host in ("", "localhost", "0.0.0.0"):
        assert read_settings(tmp_path, {"API_HOST": host}).environment.get("API_HOST", "") == host

    with pytest.raises(StackError, match=r"^API_HOST=::1: must be one of 127"):
        read_settings(tmp_path, {"API_HOST": "::1"})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """It is told by its name, not by a traceback."""
    (tmp_path / ".env").write_bytes(b"API_PORT=\xff\n")

    with pytest.raises(StackError, match=r"cannot read .*\.env"):
        read_settings(tmp_path, {})


def test_the_example_lists_every_port(root: Path) -> None:
    """`.env.example` and the launcher's table are one fact in two places."""
    listed = dict(re.findall(r"^#(\w+)=(.*)$", (root / ".env.example").read_text(), re.MULTILINE))

    for name, port in PORTS.items():
        assert listed[name] in (str(port.default), "")  # "" where Compose has another default
    assert {"LOCUST_WORKERS", "SWARMSCOPE_HOME", "GRAFANA_HOME"} <= set(listed)


def test_own_scenarios(tmp_path: Path) -> None:
    """`LOCUST_LOCUSTFILE` is Locust's own setting, and holds for master and workers alike."""
    (tmp_path / "mine.py").touch()
    sample = os.path.relpath(shipped() / "locustfiles", tmp_path)
    project = read_project(shipped())
    for environment, file in (({}, sample), ({"LOCUST_LOCUSTFILE": "mine.py"}, "mine.py")):
        settings = read_settings(tmp_path, environment, project=project)
        home = Home(settings.home)
        locusts = [locust_master(settings, home), *locust_workers(settings, home)]

        assert len(locusts) >= 2
        for service in locusts:
            assert service.command[service.command.index("-f") + 1] == file


@pytest.mark.parametrize(
    ("scenarios", "said"),
    [
        ("", "no locustfile.py and no locustfiles here: `swarmscope init` writes a first scenario"),
        ("a.py,nope/", "there is no nope/: name the scenarios by locustfile in [load], or by "),
    ],
)
def test_scenarios_that_are_not_there(tmp_path: Path, scenarios: str, said: str) -> None:
    """It is known before anything is started."""
    (tmp_path / "a.py").touch()
    settings = read_settings(tmp_path, {"LOCUST_LOCUSTFILE": scenarios})

    with pytest.raises(StackError) as error:
        locust_master(settings, Home(settings.home))
    assert str(error.value).startswith(said)


def test_the_projects_services_are_named_to_locust(tmp_path: Path) -> None:
    """As Prometheus has them; a variable goes before."""
    (tmp_path / "swarmscope.toml").write_text(
        '[app]\nname = "shop"\nwsgi = "shop:app"\n[services.pricing]\nwsgi = "pricing:app"\n'
    )
    project = read_project(tmp_path)
    assert project
    for environ, names in (({}, "shop,pricing"), ({"LOCUST_SERVICES": "orders"}, "orders")):
        assert locust_environment(tmp_path, environ, project)["LOCUST_SERVICES"] == names
