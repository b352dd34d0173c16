"""Secrets as the one-shot service of Compose generates them."""

import stat
import subprocess
import sys

import pytest

from swarmscope.container.secrets import generate, write_once

MODES = {
    "app/pgpass": 0o400,
    "database/superuser_password": 0o444,
    "grafana/admin_password": 0o444,
    "grafana/reader_password": 0o444,
    "grafana/secret_key": 0o444,
    "metrics/profiles_token": 0o444,
}


def test_first_start_generates_every_secret_with_its_mode(tmp_path):
    """libpq ignores a pgpass that others may read; the other images read under their own users."""
    written = generate(tmp_path)

    modes = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in written}
    assert modes == MODES


def test_secrets_are_long_and_all_different(tmp_path):
    secrets = {path.read_text() for path in generate(tmp_path)}

    assert len(secrets) == len(MODES)
    assert all(len(secret) >= 32 for secret in secrets)


def test_what_exists_stays(tmp_path):
    """A second start changes nothing: the database knows the old passwords."""
    before = {path: path.read_bytes() for path in generate(tmp_path)}

    assert generate(tmp_path) == []
    assert {path: path.read_bytes() for path in before} == before


def test_a_lost_secret_comes_back_alone(tmp_path):
    lost, *others = generate(tmp_path)
    before = [path.read_bytes() for path in others]
    lost.unlink()

    assert generate(tmp_path) == [lost]
    assert [path.read_bytes() for path in others] == before


def test_pgpass_has_the_form_that_libpq_reads(tmp_path):
    generate(tmp_path)

    *place, role, password = (tmp_path / "app/pgpass").read_text().rstrip("\n").split(":")

    assert (place, role) == (["*", "*", "*"], "swarmscope")
    assert len(password) == 32


def test_mode_does_not_depend_on_the_umask(tmp_path):
    program = "import os, pathlib, sys; os.umask(0o077); from swarmscope.container import secrets; "
    program += "secrets.generate(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)

    for name, mode in MODES.items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_a_secret_is_never_printed(tmp_path):
    command = [sys.executable, "-m", "swarmscope.container.secrets", str(tmp_path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert output.count("generated ") == len(MODES)
    for name in MODES:
        assert (tmp_path / name).read_text().strip() not in output


def test_a_failed_write_leaves_no_secret(tmp_path):
    """An empty file would pass for a secret at the next start."""

    def fail() -> str:
        raise OSError("no entropy")

    with pytest.raises(OSError, match="no entropy"):
        write_once(tmp_path / "password", 0o400, fail)

    assert list(tmp_path.iterdir()) == []
