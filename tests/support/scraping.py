"""Metrics as Prometheus would read them."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Samples(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """The samples of one scrape, by name and labels."""

    def value(self, sample: str, /, **labels: str) -> float:
        """Return the value of the one sample with exactly these labels; 0 where there is none."""
        return self.get((sample, frozenset(labels.items())), 0.0)

    def total(self, sample: str, /, **labels: str) -> float:
        """Return the sum over all samples that have these labels, whatever others they have."""
        wanted = labels.items()
        return sum(v for (name, all_), v in self.items() if name == sample and wanted <= all_)

    def counters(self) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return what may only grow: counters, and histograms' buckets, sums and counts."""
        suffixes = ("_total", "_bucket", "_sum", "_count")
        return {key: value for key, value in self.items() if key[0].endswith(suffixes)}


def parse(text: str) -> Samples:
    """Return the samples of a scrape's text."""
    return Samples(
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def scrape(url: str) -> Samples:
    """Scrape *url*."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return parse(answer.read().decode())
