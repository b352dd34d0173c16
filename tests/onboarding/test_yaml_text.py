"""YAML that is written by hand is read as what was meant."""

from __future__ import annotations

import yaml

from swarmscope.onboarding.yaml_text import yaml_text

VALUE = {
    "words": ["gunicorn", "--bind", "0.0.0.0:80", "shop:create_app()", "{a: b}", "x, y", ""],
    "looks_like_another_type": ["yes", "null", "1", "1.5", "~", "5s", "1e3", "0x1"],
    "map": {"A": "http://x:1/?a=b#c", "B": "a: b", "C": "${D:-e}", "on": "off", "E": "é\n"},
    "numbers": [1, 2.5],
    "flags": {"yes": True, "no": False},
    "empty": {},
    "maps": [{"name": "a", "inside": {"b": ["c"]}}, {"name": "d", "list": [{"e": "f"}]}],
}


def test_what_is_read_is_what_was_written() -> None:
    """Whatever a word looks like; None leaves a key out."""
    read = yaml.safe_load(yaml_text({**VALUE, "left out": None}))

    read["flags"] = {"yes": read["flags"][True], "no": read["flags"][False]}  # YAML 1.1's booleans
    read["map"]["on"] = read["map"].pop(True)
    assert read == VALUE
