"""A project of a test, and what `init` plans for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.projects import write_project

from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.plan import Plan, Wishes, plan
from swarmscope.stack.app_python import MIN_VERSIONS, AppPython

PYTHON = AppPython(Path(sys.executable), "our Python", (3, 11), None, MIN_VERSIONS)


@pytest.fixture
def planned(tmp_path: Path) -> Callable[..., Plan]:
    """Return a function that writes files and returns the plan for the project they make."""

    def made(
        files: dict[str, str], environment: dict[str, str] | None = None, **wishes: Any
    ) -> Plan:
        directory = write_project(tmp_path / "shop", files)
        return plan(directory, Wishes(**wishes), PYTHON, environment or {})

    return made


@pytest.fixture
def refused(planned: Callable[..., Plan]) -> Callable[..., str]:
    """Return a function that returns why there is no plan."""

    def why(*arguments: Any, **wishes: Any) -> str:
        with pytest.raises(Unclear) as caught:
            planned(*arguments, **wishes)
        return str(caught.value)

    return why
