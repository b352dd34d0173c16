"""What ``swarmscope init`` writes for a project in containers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import click

from swarmscope.onboarding.compose_file import FILE, TARGETS, command, compose_text, targets_text
from swarmscope.onboarding.containers import Containers, Sources, find_containers
from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.kubernetes_files import FOLDER, kubernetes_files, next_steps
from swarmscope.onboarding.plan import NewFile, ignored_by
from swarmscope.onboarding.stack_files import PLACE, write_stack
from swarmscope.stack.project import read_project


class Write(Protocol):
    """Shows a file, and writes it unless it exists or nothing is to be written."""

    def __call__(self, directory: Path, file: NewFile) -> bool: ...


def write_containers(sources: Sources, kubernetes: bool, dry_run: bool, write: Write) -> None:
    """Find the project's services in the current directory; show and write the files for them."""
    directory = Path.cwd()
    try:
        containers = find_containers(directory, read_project(directory), sources)
    except Unclear as error:
        raise click.ClickException(str(error)) from error
    for note in containers.notes:
        click.echo(note)
    if not dry_run:
        write_stack(directory)
    for file in _files(containers, kubernetes, dry_run):
        write(directory, file)
    for file in ignored_by(directory, ".dockerignore", ".swarmscope*/"):
        write(directory, file)
    click.echo(f"\n{PLACE}/\n  the stack itself, of this version; git ignores it")
    if not dry_run:
        steps = next_steps() if kubernetes else f"{command(containers)} up --build --wait"
        click.echo(f"\nNext: {steps}")


def _files(containers: Containers, kubernetes: bool, dry_run: bool) -> list[NewFile]:
    if kubernetes:
        if not dry_run:
            Path(FOLDER).mkdir(exist_ok=True)
        files = kubernetes_files(containers)
        return [NewFile(f"{FOLDER}/{name}", text) for name, text in files.items()]
    targets = targets_text(containers.services)
    return [NewFile(FILE, compose_text(containers)), NewFile(TARGETS, targets)]
