"""`swarmscope dashboards`: the files, and what it refuses."""

import os

import pytest
from click.testing import CliRunner

from benchmarks._dashboard_queries import DASHBOARDS
from swarmscope.cli import main

FILES = {*(f"swarmscope-{path.stem}.json" for path in DASHBOARDS), "swarmscope-rules.yml"}


def written(*arguments):
    """Run the verb."""
    return CliRunner().invoke(main, ["dashboards", *map(str, arguments)])


def test_a_directory_is_made_and_its_files_are_named(tmp_path):
    directory = tmp_path / "deep/grafana"

    done = written(directory)

    assert done.exit_code == 0
    assert {os.path.basename(line) for line in done.output.splitlines()} == FILES
    assert {path.name for path in directory.iterdir()} == FILES


def test_files_of_another_version_are_replaced(tmp_path):
    """Whole: nothing of them is left, and no temporary file."""
    written(tmp_path)
    rules = tmp_path / "swarmscope-rules.yml"
    rules.write_text("old " * 10_000)

    done = written(tmp_path, "--scrape-interval", "30s")

    assert done.exit_code == 0
    assert "interval: 30s" in rules.read_text()
    assert "old old" not in rules.read_text()
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_a_directory_with_other_files_is_refused(tmp_path):
    """Grafana would load them too."""
    (tmp_path / "app.py").touch()

    done = written(tmp_path)

    assert done.exit_code == 1
    assert "holds other files, such as app.py; name a directory of its own" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.touch()

    assert f"Error: {file} is a file; name a directory\n" in written(file).output
    assert f"Error: {file / 'below'}: Not a directory\n" in written(file / "below").output


def test_a_directory_that_cannot_be_written_is_refused():
    """Not even root may create files there."""
    assert "Error: /proc/none: No such file or directory\n" in written("/proc/none").output


@pytest.mark.parametrize("interval", ["1h", "15"])
def test_an_interval_of_another_kind_is_refused(tmp_path, interval):
    done = written(tmp_path / "new", "--scrape-interval", interval)

    assert done.exit_code == 2
    assert f"{interval} is not an interval from 1s to 5m" in done.output
    assert not (tmp_path / "new").exists()
