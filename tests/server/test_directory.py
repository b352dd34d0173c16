"""What may lie beside the directories of metrics, where everybody may write."""

import os

from swarmscope.server.directory import make_directory, sweep


def test_what_another_has_left_there_stops_no_start(tmp_path):
    """Links in a circle, links to elsewhere, files: they stay, and a directory is made."""
    (tmp_path / "swarmscope-metrics-circle").symlink_to("swarmscope-metrics-circle")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "swarmscope-metrics-link").symlink_to("elsewhere")
    (tmp_path / "swarmscope-metrics-file").touch()
    for name in ("elsewhere", "swarmscope-metrics-file"):
        os.utime(tmp_path / name, (0, 0))
    before = set(tmp_path.iterdir())

    made = make_directory(tmp_path, os.getuid(), os.getgid())

    assert set(tmp_path.iterdir()) == before | {made}


def test_a_directory_that_nobody_holds_is_removed(tmp_path):
    """Unless it is so young that its arbiter may not have taken hold of it yet."""
    old, young = tmp_path / "swarmscope-metrics-old", tmp_path / "swarmscope-metrics-young"
    for directory in (old, young):
        directory.mkdir()
    os.utime(old, (0, 0))

    sweep(tmp_path)

    assert list(tmp_path.iterdir()) == [young]


def test_other_directories_stay(tmp_path):
    """Those of another name, and those that hold more than metrics, however old."""
    others = tmp_path / "swarmscope-backup", tmp_path / "swarmscope-metrics-of-mine"
    for directory in others:
        (directory / "data").mkdir(parents=True)
    (tmp_path / "swarmscope-backup/data").rmdir()
    for directory in others:
        os.utime(directory, (0, 0))

    sweep(tmp_path)

    assert all(directory.is_dir() for directory in others)
