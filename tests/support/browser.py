"""A headless Chromium that keeps to this machine."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

READABLE = 4.5  # contrast of text, WCAG 2.2, 1.4.3
CONTRASTS = """pairs => {
    const style = getComputedStyle(document.documentElement);
    const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const light = name => {
        context.fillStyle = style.getPropertyValue(name);
        context.fillRect(0, 0, 1, 1);
        const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
            .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    return pairs.map(([text, ground]) => {
        const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
        return [text, ground, (a + 0.05) / (b + 0.05)];
    });
}"""  # of the colours in pairs of custom properties, as WCAG defines it

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser; its pages share nothing but the time that its start takes."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(browser: Browser, **settings: Any) -> Iterator[Page]:
    """Open a page of a context of its own; an error that the console shows fails the test."""
    errors: list[str] = []
    context = browser.new_context(**settings)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        yield page
    finally:
        context.close()
    assert errors == []


@contextlib.contextmanager
def chromium_page(width: int = 1280, height: int = 900) -> Iterator[Page]:
    """Open a page of *width* × *height* pixels; a script error in it fails the test."""
    errors: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    assert errors == []
