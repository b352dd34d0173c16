"""The README and the docs say what is true now."""

import re
import shlex
import shutil
import subprocess
import sys
from textwrap import dedent

import pytest
from support.gunicorn import running_gunicorn
from support.processes import clean_environment
from support.waiting import free_port

from swarmscope.cli import VERBS
from swarmscope.stack.ports import PORTS

API_AS_DOCUMENTED = "http://localhost:5000"


@pytest.fixture
def readme(root):
    """Return the README's text."""
    return (root / "README.md").read_text()


def test_the_two_commands_stand_in_the_first_fifteen_lines(readme):
    """Who opens the page sees how to start and how to check."""
    top = readme.splitlines()[:15]

    assert [line.split("#")[0].strip() for line in top if line.startswith("    make")] == [
        "make up",
        "make test",
    ]


def test_every_verb_has_a_row_and_every_row_a_verb(readme):
    """The table of commands is the command's own."""
    rows = re.findall(r"^\| (`swarmscope .*?) \|", readme, re.M)
    named = {word for row in rows for word in re.findall(r"(?:swarmscope |, )`?([a-z]+)", row)}
    named |= {word for row in rows for word in re.findall(r"`([a-z]+) RUN`", row)}

    assert named == set(VERBS)


def test_settings_are_those_of_the_example_file(readme, root):
    """README and .env.example name the same settings with the same defaults."""
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (root / ".env.example").read_text(), re.M))
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\|", readme, re.M))

    assert table.keys() == example.keys()
    for name, default in table.items():
        assert default == example[name], name


def test_every_port_is_a_documented_setting(readme):
    """The launcher's ports and their defaults are those in the table."""
    for name, port in PORTS.items():
        row = re.search(rf"^\| `{name}` \|.*$", readme, re.M)
        assert row, name
        assert str(port.default) in row[0]


def test_the_first_swarm_session_runs_as_printed(readme, tmp_path):
    """What the README shows after a `$` is what a terminal answers."""
    session = re.search(r"```console\n(.*?)```", readme, re.S)[1]
    with running_gunicorn(
        "--config",
        "api/gunicorn.conf.py",
        "api:create_app()",
        log=tmp_path / "api.log",
        environment={
            "API_WORKERS": "2",
            "API_METRICS_PORT": str(free_port()),
            "API_DATABASE_URL": f"sqlite:///{tmp_path}/api.sqlite3",
        },
    ) as api:
        answered = ""
        for command in re.findall(r"^\$ (.*)$", session, re.M):
            words = shlex.split(command.replace(API_AS_DOCUMENTED, api.url))
            output = subprocess.run(
                [*words, "--silent", "--show-error"], check=True, capture_output=True, text=True
            ).stdout
            answered += f"$ {command}\n{output}"

    assert answered == session


def test_init_says_what_the_page_shows(root, tmp_path):
    """`swarmscope init` on the shop, in an environment that has what it needs."""
    page = (root / "docs/your-service.md").read_text()
    shown = re.search(r"```console\n\$ swarmscope init\n(.*?)```", page, re.S)[1]
    shop = shutil.copytree(root / "examples/shop", tmp_path / "shop")
    (shop / "swarmscope.toml").unlink()
    (shop / ".venv").symlink_to(sys.prefix)

    done = subprocess.run(
        [sys.executable, "-m", "swarmscope", "init"],
        cwd=shop,
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )

    version = re.compile(r"Python [\d.]+")
    assert version.sub("Python", done.stdout) == version.sub("Python", shown)
    table = re.search(r"swarmscope.toml\n(.*?)\n\n?Next", shown, re.S)[1]
    assert (shop / "swarmscope.toml").read_text() == dedent(table) + "\n"


def test_links_lead_somewhere(root):
    """Every relative link of every page names a file that is there."""
    for page in [*root.glob("*.md"), *(root / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_module_that_the_architecture_names_is_there(root):
    """In backquotes: a folder or a module of the package, or of the checkout."""
    text = (root / "docs/architecture.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", text))
    named |= set(re.findall(r"^\| `([a-z_/]+/)` \|", text, re.M))

    assert len(named) > 40
    for name in named:
        assert (root / name).exists() or (root / "swarmscope" / name).exists(), name
