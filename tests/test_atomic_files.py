"""Files that are there in full or not at all."""

from __future__ import annotations

import os

from swarmscope import atomic_files


def test_a_file_is_replaced_at_once_and_keeps_its_permissions(tmp_path):
    """Who has the old file open reads it to its end; links stay links; new files are as any."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    with file.open() as reader:
        atomic_files.write(link, "new")
        assert reader.read() == "old"
    atomic_files.write(tmp_path / "fresh", "new")
    (tmp_path / "plain").touch()

    assert link.is_symlink()
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert len(list(tmp_path.iterdir())) == 4


def test_a_pipe_is_written_as_it_is(tmp_path):
    """`-o /dev/stdout` and the like are no files to be replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic_files.check(pipe)
    atomic_files.write(pipe, "through")

    assert os.read(reader, 100) == b"through"
    os.close(reader)
