"""Renders all workers' metrics as text in Prometheus's format, read from the slots' files.

The values are those of prometheus_client's ``MultiProcessCollector``, which parses and sorts all
series at every scrape. Here each series is parsed once, so that a scrape costs little more than the
additions, and a file that is removed during a scrape is skipped.

Source of the format: Prometheus documentation, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

from swarmscope.server.slot_reader import ValueFile, ValueFiles

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Key = tuple[str, str]  # a file's key, and the slot where that is a label
Merge = Callable[[list[ValueFile]], dict[Key, float]]


class ParsedKey(NamedTuple):
    """A file's key taken apart; *labels* are text without a bucket's edge."""

    family: str
    name: str
    labels: str
    edge: float | None
    help: str


class LabelSet:
    """The lines of one set of labels: the beginning of each, and the key of its value."""

    def __init__(self) -> None:
        self.buckets: list[tuple[float, str, Key]] = []
        self.count = ""
        self.plain: list[tuple[str, Key]] = []


class Layout:
    """The text of one kind of metric without its numbers."""

    def __init__(self, kind: str, keys: Iterable[Key]) -> None:
        self.keys = frozenset(keys)
        type_ = kind.partition("_")[0]
        families: dict[str, dict[str, LabelSet]] = {}
        self._headers: dict[str, str] = {}
        for key in sorted(self.keys):
            entry = parse(key)
            if entry.family not in families:
                families[entry.family] = {}
                self._headers[entry.family] = _header(entry, type_)
            _add(families[entry.family].setdefault(entry.labels, LabelSet()), entry, key)
        self._families = {name: list(series.values()) for name, series in families.items()}
        for series in (one for several in self._families.values() for one in several):
            series.buckets.sort()

    def lines(self, values: dict[Key, float]) -> Iterable[str]:
        """Yield the text with *values*; a histogram's buckets are accumulated."""
        for family, several in self._families.items():
            yield self._headers[family]
            for series in several:
                total = 0.0
                for _, start, key in series.buckets:
                    total += values[key]
                    yield start + floatToGoString(total)
                if series.buckets:
                    yield series.count + floatToGoString(total)
                for start, key in series.plain:
                    yield start + floatToGoString(values[key])


class Exposition:
    """The metrics in the files of *directory*."""

    def __init__(self, directory: Path) -> None:
        self._files = ValueFiles(directory)
        self._layouts: dict[str, Layout] = {}

    def render(self) -> bytes:
        """Return them as text."""
        lines: list[str] = []
        for kind, files in self._files.by_kind().items():
            values = MERGE.get(kind.removeprefix("gauge_").removeprefix("live"), added)(files)
            layout = self._layouts.get(kind)
            if layout is None or layout.keys != values.keys():
                layout = self._layouts[kind] = Layout(kind, values)
            lines.extend(layout.lines(values))
        return "".join(line + "\n" for line in lines).encode()


def parse(key: Key) -> ParsedKey:
    """Take a key apart; a slot becomes the label ``pid``, as in prometheus_client."""
    text, slot = key
    family, name, labels, help_text = json.loads(text)
    if slot:
        labels["pid"] = slot
    edge = float(labels.pop("le")) if name == f"{family}_bucket" and "le" in labels else None
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return ParsedKey(family, name, pairs, edge, help_text)


def added(files: list[ValueFile]) -> dict[Key, float]:
    """Return the sums of all files' values."""
    totals: defaultdict[Key, float] = defaultdict(float)
    for file in files:
        values = file.values()
        for key, value in zip(file.keys, values, strict=True):
            totals[key, ""] += value
    return totals


def each(files: list[ValueFile]) -> dict[Key, float]:
    """Return every file's values."""
    merged = {}
    for file in files:
        values = file.values()
        merged.update({(key, file.slot): v for key, v in zip(file.keys, values, strict=True)})
    return merged


def chosen(choose: Callable[[float, float], float]) -> Merge:
    """Return a function that keeps the lowest or highest of all files' values."""

    def merge(files: list[ValueFile]) -> dict[Key, float]:
        merged: dict[Key, float] = {}
        for file in files:
            values = file.values()
            for key, value in zip(file.keys, values, strict=True):
                merged[key, ""] = choose(merged.get((key, ""), value), value)
        return merged

    return merge


def latest(files: list[ValueFile]) -> dict[Key, float]:
    """Return the values that were set last; one that was never set is left out."""
    merged: dict[Key, tuple[float, float]] = {}
    for file in files:
        values = file.values()
        for key, value, time in zip(file.keys, values, file.times(), strict=True):
            if time > merged.get((key, ""), (0.0, 0.0))[0]:
                merged[key, ""] = (time, value)
    return {key: value for key, (_, value) in merged.items()}


MERGE = {"all": each, "min": chosen(min), "max": chosen(max), "mostrecent": latest}


def _add(series: LabelSet, entry: ParsedKey, key: Key) -> None:
    if entry.edge is None:
        series.plain.append((_start(entry.name, entry.labels), key))
        return
    edge = f'le="{floatToGoString(entry.edge)}"'
    labels = f"{entry.labels},{edge}" if entry.labels else edge
    series.buckets.append((entry.edge, _start(entry.name, labels), key))
    series.count = _start(f"{entry.family}_count", entry.labels)


def _start(name: str, labels: str) -> str:
    return f"{name}{{{labels}}} " if labels else f"{name} "


def _header(entry: ParsedKey, type_: str) -> str:
    name = entry.family + "_total" * (type_ == "counter")
    text = entry.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {type_}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
