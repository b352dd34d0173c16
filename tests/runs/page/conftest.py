"""A run with all that a page can show, hostile texts included, frozen and open in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect
from support.browser import chromium, opened
from support.charts import first_points
from support.databases import fresh_runs_database
from support.rich_run import store_profiles, store_rich_run
from support.stored_runs import START

from swarmscope.runs import assembly, page, queries
from swarmscope.runs.compare import comparison
from swarmscope.runs.document import Document, Points
from swarmscope.runs.page import stored_flames
from swarmscope.runs.page.flames import FlameData
from swarmscope.runs.profiles.model import Profile

LATER = START + timedelta(hours=1)
DESK = {"width": 1280, "height": 900}


class Frozen(NamedTuple):
    """Two runs, their files on disk, and how they compare."""

    document: Document
    file: Path
    comparison: comparison.Comparison
    comparison_file: Path
    again: str  # the first run's page, made a second time
    flames: FlameData  # of the first run
    stored: dict[tuple[str, int], Profile]  # of those, by kind and level

    @property
    def points(self) -> Points:
        """The first run's points that are drawn: all but the last, whose second was not over."""
        points = self.document.points
        return first_points(points, len(points.t_s) - 1)


class Desk(NamedTuple):
    """A run's file, open, and what it requested."""

    page: Page
    requested: list[str]


@pytest.fixture(scope="package")
def frozen(cluster, tmp_path_factory) -> Frozen:
    """Freeze a run with all that a page can show, and its comparison with a slower one."""
    directory = tmp_path_factory.mktemp("pages")
    with (
        fresh_runs_database(cluster) as database,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        store_rich_run(connection)
        store_rich_run(connection, LATER, slower=1.5, grafana_url="javascript:alert(1)//")
        a, b, again = (assembly.assemble(connection, id) for id in (START, LATER, START))
        runs = (queries.by_id(connection, id) for id in (START, LATER))
        found = comparison.compare(connection, *runs)
        stored = store_profiles(connection, START)
        flames = stored_flames.of_run(connection, START, a)
    files = directory / "run.html", directory / "comparison.html"
    files[0].write_text(page.render(a, live=False))
    files[1].write_text(page.render_comparison(a, b, found))
    return Frozen(a, files[0], found, files[1], page.render(again, live=False), flames, stored)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start one browser for all these files: its start costs as much as ten tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def opened_file(browser, frozen) -> Iterator[Desk]:
    """Open the run's file without a network."""
    requested: list[str] = []
    with opened(browser, viewport=DESK, offline=True) as page:
        page.on("request", lambda request: requested.append(request.url))
        page.goto(frozen.file.as_uri())
        expect(page.locator("#tiles li")).to_have_count(8)
        yield Desk(page, requested)


@pytest.fixture
def desk(opened_file) -> Page:
    """Return the run's page; every test leaves it as it was."""
    return opened_file.page


@pytest.fixture(scope="package")
def tab(browser) -> Iterator[Page]:
    """Open a page without a network: a renderer of its own for each document would cost seconds."""
    with opened(browser, viewport=DESK, offline=True) as tab:
        yield tab


@pytest.fixture
def shown(tab, tmp_path) -> Callable[[Document], AbstractContextManager[Page]]:
    """Return what opens the page of another document until its block ends."""

    @contextmanager
    def show(document: Document) -> Iterator[Page]:
        file = tmp_path / "run.html"
        file.write_text(page.render(document, live=False))
        tab.goto(file.as_uri())
        expect(tab.locator("#tiles li")).to_have_count(8)
        yield tab

    return show
