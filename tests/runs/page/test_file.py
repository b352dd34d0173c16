"""A run's page as a file: all in one piece, reproducible, small, and safe whatever it contains."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from support.browser import needs_chromium
from support.charts import first_points
from support.environments import build_wheel
from support.rich_run import DESCRIPTION, ENDPOINT, ERROR, EVENT, TASK_ERROR

from swarmscope.runs import page
from swarmscope.runs.document import Document

ASSETS = Path(page.__file__).parent / "assets"
SECONDS = 300
ENDPOINTS = 12
MAX_BYTES = 300_000


def test_the_same_run_makes_the_same_file(frozen):
    """Byte by byte, with uPlot's licence in it."""
    assert frozen.file.read_text() == frozen.again
    assert "Copyright (c) 2022 Leon Sorokin" in frozen.again


def test_the_data_is_a_line_of_its_own(frozen):
    """The command of docs/run-page.md finds it, beside profiles too."""
    lines = page.render(frozen.document, live=False, flames=frozen.flames).split("\n")

    data = '<script type="application/json" id="run-data">'
    (line,) = [line for line in lines if line.startswith(data) and line.endswith("</script>")]
    assert line.count("</script>") == 1


def five_minutes(document: Document) -> Document:
    """Return *document* with as much in it as in five minutes of 12 endpoints."""
    content = msgspec.to_builtins(replace(document, points=first_points(document.points, 90)))
    lists = [content["points"], content["generator"], content["server"]]
    for place in lists + [part for part in content["points"].values() if isinstance(part, dict)]:
        for name, values in place.items():
            if isinstance(values, list) and name != "series":
                place[name] = longer(values, name)
    for series in content["server"]["series"]:
        series["values"] = longer(series["values"], "values")
    endpoints = content["endpoints"] * ENDPOINTS
    content["endpoints"] = endpoints[:ENDPOINTS]
    return msgspec.convert(content, Document)


def longer(values: list, name: str) -> list:
    """Return *values* of 90 s repeated for five minutes, no two numbers alike."""
    step = len(values)
    wanted = step * SECONDS // 90
    rise = 90.123 if name == "t_s" else 0.01
    return [
        value if value is None or name == "users" else round(value + rise * (at // step), 3)
        for at, value in enumerate((values * 4)[:wanted])
    ]


def test_a_report_of_five_minutes_is_small_enough_to_send(frozen):
    """300 kB with 300 points of every curve, the app's own series, and 12 endpoints."""
    document = five_minutes(frozen.document)
    report = page.render(document, live=False).encode()

    assert len(document.points.t_s) == len(document.points.response.p95_ms) == SECONDS
    assert len(document.endpoints) == ENDPOINTS
    assert 150_000 < len(report) < MAX_BYTES


def test_the_page_is_in_the_wheel(root, tmp_path):
    """A wheel, and so the image, has all that the page consists of, with uPlot and its licence."""
    wheel = build_wheel(tmp_path)

    names = [file.relative_to(ASSETS).as_posix() for file in ASSETS.rglob("*") if file.is_file()]
    assert {"page.html", "page.css", "run.js", "vendor/uPlot.iife.min.js", "vendor/LICENSE"} < set(
        names
    )
    packed = zipfile.ZipFile(wheel).namelist()
    assert {f"swarmscope/runs/page/assets/{name}" for name in names} <= set(packed)
    for licence in ("vendor/LICENSE", "vendor/flame/LICENSE"):
        assert any("licenses/" in name and licence in name for name in packed)


def test_the_vendored_version_is_the_documented_one():
    """What the file says of itself is what the note beside it says."""
    vendor = ASSETS / "vendor"
    version = vendor.joinpath("README.md").read_text().split("\n")[0].removeprefix("# uPlot ")

    assert (
        vendor.joinpath("uPlot.iife.min.js")
        .read_text()
        .startswith(f"/*! https://github.com/leeoniya/uPlot (v{version}) */")
    )
    assert f"npm pack uplot@{version}" in vendor.joinpath("README.md").read_text()


def test_the_library_of_flame_graphs_is_what_the_documented_command_made():
    """Its note has the commands, with the version of each part, and the hash of what came out."""
    flame = ASSETS / "vendor" / "flame"
    note, library = flame.joinpath("README.md").read_text(), flame / "d3-flame-graph.iife.min.js"
    version = note.split("\n")[0].removeprefix("# d3-flame-graph ")

    banner = f"/*! https://github.com/spiermar/d3-flame-graph (v{version}) with d3 */\n"
    assert library.read_text().startswith(banner)
    assert f"d3-flame-graph@{version} " in note
    assert hashlib.sha256(library.read_bytes()).hexdigest() in note
    licences = flame.joinpath("LICENSE").read_text()
    for text in ("Apache License", "Mike Bostock", "Robert Penner"):
        assert text in licences


@pytest.mark.browser
@needs_chromium
def test_a_file_needs_no_network(opened_file, frozen):
    """It requests nothing but itself, and its policy would not let it."""
    policy = opened_file.page.locator("meta[http-equiv=Content-Security-Policy]")
    allowed = policy.get_attribute("content")

    assert opened_file.requested == [frozen.file.as_uri()]
    assert "default-src 'none'" in allowed
    assert "connect-src 'none'" in allowed
    assert allowed.count("'sha256-") == 3, "the library, the page's script, the style"
    assert "unsafe" not in allowed


@pytest.mark.browser
@needs_chromium
def test_nothing_of_a_run_is_more_than_text(desk):
    """Names, errors, events and descriptions that are markup are shown as they are."""
    assert desk.evaluate("window.hacked") is None
    assert desk.locator("img, main svg[onload]").count() == 0
    assert desk.locator("script").count() == 3  # data, library, page
    assert desk.locator("h1").inner_text() == DESCRIPTION
    assert ENDPOINT in desk.locator("#endpoints").inner_text()
    assert desk.locator("#errors .mono").all_text_contents() == [ERROR]
    assert desk.locator("#task-errors .mono").all_text_contents() == [TASK_ERROR]
    assert EVENT in desk.locator("#events").inner_text()
    assert json.loads(desk.locator("#run-data").text_content())["run"]["description"] == DESCRIPTION
