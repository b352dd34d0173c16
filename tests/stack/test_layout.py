"""What `up` makes is for the user who started it, and for nobody else on the machine."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.native import mode, open_to_others

from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home


@pytest.fixture
def everybody() -> Iterator[None]:
    """The mask of a user who lets everybody read what they write, as most have it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("everybody")
def test_a_home_that_was_open_is_closed(tmp_path: Path) -> None:
    """An earlier version let everybody in; so do the files that it left."""
    home = Home(tmp_path / "home")
    for name in ("lock", "up.json", "logs/api.log", "api/tests.db", "prometheus/prometheus.yml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("{}")
    assert open_to_others(home.path)

    home.make()

    assert mode(home.path) == 0o700
    assert open_to_others(home.path) == []


@pytest.mark.usefixtures("everybody")
def test_a_lock_that_a_stranger_holds_is_replaced(tmp_path: Path) -> None:
    """Whoever opened the file while everybody could keeps no `up` out."""
    home = Home(tmp_path / "home")
    home.path.mkdir()
    (home / "lock").touch()
    with (home / "lock").open() as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        home.make()
        with home.locked():
            pass
        with home.locked(), pytest.raises(StackError, match=f"pid {os.getpid()}"), home.locked():
            pass


@pytest.mark.usefixtures("everybody")
def test_a_directory_of_other_things_is_not_closed(tmp_path: Path) -> None:
    """SWARMSCOPE_HOME=/srv would shut everybody out of what else is there."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/others.txt").touch()

    with pytest.raises(StackError, match="shared holds other files"):
        Home(tmp_path / "shared").make()

    assert mode(tmp_path / "shared") == 0o755
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["others.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory somebody else's")
def test_a_directory_of_another_user_is_no_home(tmp_path: Path) -> None:
    """Its owner would read all secrets."""
    (tmp_path / "home").mkdir(mode=0o755)
    os.chown(tmp_path / "home", 65534, 65534)

    with pytest.raises(StackError, match="home belongs to another user"):
        Home(tmp_path / "home").make()


@pytest.mark.usefixtures("everybody")
def test_generated_secrets_lie_in_closed_directories(tmp_path: Path) -> None:
    """For Kubernetes they are made in the checkout, which others may well enter."""
    directory = tmp_path / "secrets"
    command = [sys.executable, "-m", "swarmscope.container.secrets", str(directory)]
    subprocess.run(command, check=True, capture_output=True)

    assert mode(directory) == 0o700
    assert {mode(path) for path in directory.iterdir()} == {0o700}
