"""Nothing is there twice: a server-side apply refuses two entries, and YAML keeps the last key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kustomize import Object

# Lists that are maps to the API server, and what their keys are (x-kubernetes-list-map-keys)
KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "initContainers": ("name",),
    "ports": ("containerPort", "port", "protocol"),
    "volumeClaimTemplates": ("name",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}


def keyed_lists(item: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path and the keys of each list in *item* that is a map to the API server."""
    if isinstance(item, dict):
        for name, value in item.items():
            at = f"{path}/{name}"
            if name in KEYS and isinstance(value, list):
                yield at, [tuple(entry.get(key) for key in KEYS[name]) for entry in value]
            yield from keyed_lists(value, at)
    if isinstance(item, list):
        for number, entry in enumerate(item):
            yield from keyed_lists(entry, f"{path}/{number}")


def repeated(keys: list[Any]) -> list[Any]:
    return [key for key, times in Counter(keys).items() if times > 1]


class Strict(yaml.SafeLoader):
    """Refuses a mapping in which a key is written twice; what `<<` brings may be overridden."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert not (twice := repeated(written)), f"{twice} in line {node.start_mark.line + 1}"
        return super().construct_mapping(node, deep)


def written_files(root: Path) -> list[Path]:
    """Return the files of Compose, Kubernetes, Prometheus and Grafana that people write."""
    folders = ("deploy", "grafana", "prometheus", "tests/compose")
    found = [path for folder in folders for path in (root / folder).rglob("*.y*ml")]
    return [*root.glob("*.y*ml"), *found]


def test_no_entry_of_a_list_is_there_twice(built: list[Object]) -> None:
    """Variables, ports, mounts, volumes, containers."""
    lists = [
        (f"{item['kind']} {item['metadata']['name']}{path}", keys)
        for item in built
        for path, keys in keyed_lists(item)
    ]

    assert len(lists) > 40
    assert [(where, twice) for where, keys in lists if (twice := repeated(keys))] == []


def test_the_search_would_notice() -> None:
    """A variable twice, deep inside."""
    pod = {"containers": [{"name": "a", "env": [{"name": "X"}, {"name": "Y"}, {"name": "X"}]}]}

    assert [repeated(keys) for _, keys in keyed_lists(pod)] == [[], [("X",)]]


def test_no_key_is_written_twice(root: Path) -> None:
    """Of two, the last would count, and a reader sees the first."""
    files = written_files(root)

    assert {"docker-compose.yml", "locust.yaml", "rules.yml"} <= {path.name for path in files}
    for path in files:
        for document in yaml.compose_all(path.read_text(), Strict):
            Strict("").construct_document(document)
    with pytest.raises(AssertionError, match="'a'"):
        yaml.load("{a: 1, b: 2, a: 3}", Strict)
