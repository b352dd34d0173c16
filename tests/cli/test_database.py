"""The verbs as people type them, against a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.command import swarmscope
from support.rich_run import store_levels
from support.stored_runs import START, Sample, store_run

from swarmscope.cli import shortlist
from swarmscope.runs import queries
from swarmscope.runs.schema.migrations import NEWEST, SCRIPTS
from swarmscope.runs.schema.roles import DATABASE, OWNER, READER

HOSTILE = "\x1b[31m/red\x1b[0m\r\n[bold]:bomb: \u202etxt.\x07" + "x" * 60


def answer(*arguments: str, **settings: Any) -> str:
    done = swarmscope(*arguments, **settings)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def complaint(*arguments: str, **settings: Any) -> str:
    """Return the one line that a command ended with."""
    done = swarmscope(*arguments, **settings)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def two_runs(connection) -> None:
    """An early run that met the objective, and a later one that failed and is not complete."""
    parts = {"queue": 1.0, "app": 20.0, "outside": 2.0}
    early = [Sample(i / 10, 20 + i % 5, parts=parts) for i in range(500)]
    store_run(connection, early, ramp_s=9.75, lasted_s=50)
    later = START + timedelta(hours=1)
    samples = [Sample(i / 10, 900, HOSTILE, "PO\x1bST", failed=True) for i in range(300)]
    store_run(connection, samples, start=later, lasted_s=30, testplan=HOSTILE)
    connection.execute(
        "UPDATE run_worker SET stopped = NULL, outcome = NULL, dropped = 7 WHERE run_id = %s",
        [later],
    )


def test_runs_are_listed_latest_first(two_runs, runs_database):
    """A row a run: its id, plan, users, rate, p95, failures and state."""
    lines = answer("runs", "--database", runs_database, columns=140).splitlines()

    assert lines[0].split() == [
        "run", "plan", "users", "time", "requests", "req/s", "p95", "ms", "failed", "state",
    ]  # fmt: skip
    assert lines[1].startswith("2026-03-01T13:00:00.250000Z")
    (early,) = (line for line in lines if line.startswith("2026-03-01T12:00:00.250000Z"))
    assert early.split()[1:] == [
        "classic.py", "10", "0:50", "402", "9.99", "23.9", "0.00%", "finished",
    ]  # fmt: skip
    assert lines[1].split()[-2:] == ["finished,", "incomplete"]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("arguments", [("runs",), ("show",), ("show", "latest~1")])
def test_tables_fit_and_do_no_harm(two_runs, runs_database, columns, arguments):
    """Whatever names hold, no line is wider than the terminal and no control character gets out."""
    text = answer(*arguments, "--database", runs_database, columns=columns, FORCE_COLOR="1")

    plain = text
    for style in ("\x1b[1m", "\x1b[2m", "\x1b[0m"):  # bold, dim, back: ours
        plain = plain.replace(style, "")
    assert all(c == "\n" or c.isprintable() for c in plain)
    assert max(map(len, plain.splitlines())) <= columns
    if arguments != ("show", "latest~1"):
        assert r"\x1b[31m/" in plain


def test_show_prints_a_run(two_runs, runs_database):
    """Facts first, then each endpoint with its parts, and what the figures are of."""
    text = answer("show", "latest~1", "--database", runs_database, columns=120)
    facts, table, note = text.split("\n\n")

    known = dict(line.split(maxsplit=1) for line in facts.splitlines() if " " in line.strip())
    assert known["users"].strip() == "10 of 10 asked for"
    assert (known["lasted"].strip(), known["objective"].strip()) == (
        "0:50",
        "met (p95 within 450 ms, at most 1% failed)",
    )
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][2:] == [
        "requests", "failed", "req/s", "mean", "p50", "p90", "p95", "p99", "max",
    ]  # fmt: skip
    assert rows[1][2:6] == ["402", "0.00%", "9.99", "22.0"]
    assert [row[0] for row in rows[2:5]] == ["queue", "app", "outside"]
    assert rows[3] == ["app", "402", "20.0", "19.6", "19.6", "19.6", "19.6", "20.0"]
    assert note == "After ramp-up (0:10 to 0:50).\n"


def test_show_has_the_levels_of_a_search(two_runs, runs_database, connection):
    """A table of their own, when there are any."""
    store_levels(connection, START)
    text = answer("show", "latest~1", "--database", runs_database, columns=120)
    table = text.split("\n\n")[2].splitlines()

    assert table[0].split()[:4] == ["users", "measured", "requests", "p50"]
    assert table[1].split() == [
        "10", "8", "s", "80", "20.0", "10.0", "0.00%", "31.0", "21.0", "9.50", "held",
    ]  # fmt: skip
    assert "broke, POST /orders/" in " ".join(table[2:])


def test_show_says_when_the_generator_is_not_to_be_trusted(two_runs, runs_database, connection):
    """As the page and `check` do; of one that kept up, nothing."""
    note = "INSERT INTO events (time, run_id, kind, text, details) VALUES (%s, %s, 'trust', %s, %s)"
    later = START + timedelta(hours=1)
    connection.execute(note, [START, START, "Do not trust it.", '{"saturated": true}'])
    connection.execute(note, [later, later, "It kept up.", '{"saturated": false}'])
    connection.commit()

    early, late = (answer("show", n, "--database", runs_database) for n in ("latest~1", "latest"))
    assert "Do not trust it." in early
    assert "It kept up." not in late


def test_show_says_what_failed(connection, runs_database):
    """How often, where and why: the most frequent ten kinds, a text no longer than a paragraph."""
    many = [Sample(i / 10, 20, f"/{i % 12:x}", failed=i % 12 != 0) for i in range(239)]
    store_run(connection, many)
    connection.execute(
        "UPDATE request SET exception = %s WHERE name = '/1'", ["\x1b[2J" + "x" * 1000]
    )
    text = answer("show", "--database", runs_database, columns=300)
    table = text.split("\n\n")[2].splitlines()

    assert table[0].split() == ["failures", "endpoint", "error"]
    assert [line.split()[:3] for line in table[1:3]] == [
        ["20", "GET", "/1"],
        ["20", "GET", "/2"],
    ]
    assert r"\x1b[2Jxxx" in table[1]
    assert table[2].rstrip().endswith("it failed")
    assert len(table) == 12
    assert " ".join(table[11].split()) == "… more: show --json, or the run's page"


def test_show_says_what_is_missing(two_runs, runs_database):
    """An incomplete run, dropped samples and a missed objective are said in so many words."""
    text = answer("show", "latest", "--database", runs_database, columns=200)

    assert "finished, incomplete" in text
    assert "1, 1 not delivered yet" in text
    assert "7 samples dropped" in text
    assert "missed" in text
    assert text.endswith("Whole run: ramp-up was not complete (0:00 to 0:30).\n")


def test_json_has_every_digit(two_runs, runs_database, connection):
    """`runs --json` is a list, `show --json` a run's document; times are UTC."""
    listed = json.loads(answer("runs", "--json", "--database", runs_database, TZ="Asia/Tokyo"))
    shown = json.loads(answer("show", "latest~1", "--json", "--database", runs_database))

    assert [run["run"] for run in listed] == [
        "2026-03-01T13:00:00.250000Z",
        "2026-03-01T12:00:00.250000Z",
    ]
    assert listed[0]["testplan"] == HOSTILE
    assert (listed[0]["complete"], listed[1]["complete"]) == (False, True)
    assert shown["run"]["ended"] == "2026-03-01T12:00:50.250000Z"
    expected = {row.part: row.p95_ms for row in queries.summary(connection, START) if not row.name}
    assert {part: shown["totals"][part]["p95_ms"] for part in expected} == expected
    assert len(answer("runs", "-n", "1", "--json", "--database", runs_database)) < 2_000


def test_whole_includes_the_ramp(two_runs, runs_database):
    """With --whole the requests of the ramp count too."""
    shown = json.loads(answer("show", "latest~1", "--whole", "--json", "--database", runs_database))

    assert shown["whole"] is True
    assert shown["totals"]["requests"] == shown["totals"]["app"]["requests"] == 500


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("latest", 13),
        ("latest~0", 13),
        ("latest~1", 12),
        ("2026-03-01T12:00:00.250000Z", 12),
        ("2026-03-01T13", 13),
    ],
)
def test_runs_are_found_by_many_names(two_runs, connection, wanted, found):
    """Counted back from the latest, by id, or by what an id begins with."""
    assert queries.find(connection, wanted).started.hour == found


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("latest~2", "there is no run 'latest~2'"),
        ("2026-03", "several runs begin with '2026-03'"),
        ("2025", "there is no run '2025'"),
        ("'; DROP TABLE testrun; --", "there is no run"),
        ("%", "there is no run '%'"),
        ("\x1b[31m", r"there is no run '\x1b[31m'"),
    ],
)
def test_a_run_that_is_not_there(two_runs, runs_database, wanted, says):
    """One line says so and how to find one."""
    line = complaint("show", wanted, "--database", runs_database)

    assert says in line
    assert "`swarmscope runs` lists them" in line
    assert "\x1b" not in line


def test_no_runs_yet(connection, runs_database):
    """An empty database is no error."""
    assert answer("runs", "--database", runs_database).startswith("No runs yet")
    assert json.loads(answer("runs", "--json", "--database", runs_database)) == []
    assert "there is no run 'latest'" in complaint("show", "--database", runs_database)


def test_where_the_database_is_found(two_runs, runs_database, tmp_path):
    """The option goes before PG*, and PG* before the home's own file."""
    parts = psycopg.conninfo.conninfo_to_dict(runs_database)
    libpq = {
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGPASSFILE": parts["passfile"],
        "PGDATABASE": parts["dbname"],
    }
    home = tmp_path / ".swarmscope"
    home.mkdir()
    url = "postgresql://{user}@{host}:{port}/{dbname}?passfile={passfile}".format(**parts)
    (home / "database.url").write_text(url + "\n")
    nowhere = tmp_path / "nowhere"

    assert "classic.py" in answer("runs", cwd=tmp_path)
    assert "classic.py" in answer("runs", cwd=nowhere.parent, SWARMSCOPE_HOME=str(home))
    assert "classic.py" in answer("runs", SWARMSCOPE_HOME=str(nowhere), **libpq)
    wrong = libpq | {"PGPORT": "1"}
    assert "classic.py" in answer("runs", "--database", runs_database, **wrong)
    assert "port 1 failed" in complaint("runs", SWARMSCOPE_HOME=str(home), **wrong)
    assert "swarmscope up" in complaint("runs", SWARMSCOPE_HOME=str(nowhere))


def test_a_stack_that_is_down_leaves_its_runs_within_reach(tmp_path):
    """What is stored can be read without a swarm; a database of somebody else's is not ours."""
    (tmp_path / "database.url").write_text("postgresql://swarmscope@127.0.0.1:1/swarmscope\n")
    hint = "; `swarmscope up --only postgres` starts the database alone"

    assert complaint("runs", SWARMSCOPE_HOME=str(tmp_path)).rstrip().endswith(hint)
    assert hint not in complaint("runs", SWARMSCOPE_HOME=str(tmp_path), PGHOST="127.0.0.1")


def test_troubles_are_one_line_without_secrets(empty_database):
    """Nobody there, no password, no schema, nonsense: one line each."""
    there = psycopg.conninfo.conninfo_to_dict(empty_database)
    gone = "postgresql://user:hunter2@127.0.0.1:1/x"
    wrong = f"postgresql://{there['user']}:hunter2@127.0.0.1:{there['port']}/{there['dbname']}"

    for where, says in [
        (gone, "cannot be reached: connection failed"),
        (wrong, "password authentication failed"),
        (empty_database, "has schema version 0"),
        ("postgresql://[hunter2", "no connection string"),
    ]:
        line = complaint("runs", "--database", where)
        assert says in line
        assert "hunter2" not in line


def test_a_newer_database_is_left_alone(connection, runs_database):
    """Reading and migrating both stop at a schema that this version does not know."""
    connection.execute("INSERT INTO schema_version VALUES (%s)", [NEWEST + 1])

    for verb in ("runs", "show", "migrate"):
        assert "upgrade swarmscope" in complaint(verb, "--database", runs_database)


def test_prune(connection, runs_database):
    """A dry run deletes nothing; without an age the setting of the database counts."""
    now = datetime.now(UTC)
    store_run(connection, [Sample(1, 1), Sample(2, 1)], start=now - timedelta(days=31))
    store_run(connection, [Sample(1, 1)], start=now - timedelta(days=2))
    where = ("--database", runs_database)

    assert answer("prune", "--dry-run", *where) == "2 requests would be deleted.\n"
    assert answer("prune", "--older-than", "1d", "--dry-run", *where).startswith("3 requests")
    assert answer("prune", *where) == "2 requests deleted.\n"
    assert answer("prune", "--older-than", "24h", *where) == "1 requests deleted.\n"
    bad = swarmscope("prune", "--older-than", "soon", *where)
    assert (bad.exit_code, "'soon' is not an age" in bad.stderr) == (2, True)


def test_migrate_without_passwords_leaves_the_server_alone(empty_database):
    """In a server of somebody else's, only the named database gets a schema."""
    text = answer("migrate", "--database", empty_database)
    assert text == f"Schema version {NEWEST}: applied {', '.join(map(str, SCRIPTS))}.\n"
    assert answer("migrate", "--database", empty_database).endswith("up to date.\n")

    with psycopg.connect(empty_database) as connection:
        assert connection.execute(
            "SELECT has_database_privilege('pg_monitor', current_database(), 'TEMP')"
        ).fetchone() == (True,)


def test_migrate_prepares_a_server_of_our_own(cluster, tmp_path):
    """From password files, bare or in libpq's form, to roles, database, schema and pruning."""
    (admin, password) = cluster.passfile.read_text().strip().split(":")[3:]
    files = {"admin": password, "owner": f"*:*:*:{OWNER}:own:er\n", "reader": "reader\n"}
    options = []
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        options += [f"--{name}-password-file", str(tmp_path / name)]
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": admin}

    def connect(role: str, password: str, database: str = DATABASE) -> psycopg.Connection[Any]:
        where = {"host": "127.0.0.1", "port": cluster.port, "dbname": database}
        return psycopg.connect(user=role, password=password, autocommit=True, **where)

    with connect(admin, password, "postgres") as superuser:
        try:
            for _ in range(2):
                text = answer("migrate", *options, PGDATABASE="postgres", **server)
                assert text.startswith(f"Schema version {NEWEST}: ")
                with connect(OWNER, "own:er") as owner:
                    long_ago = datetime.now(UTC) - timedelta(days=99)
                    assert owner.execute("SELECT count(*) FROM request").fetchone() == (0,)
                    owner.execute("DELETE FROM testrun")
                    store_run(owner, [Sample(1, 1)], start=long_ago)
            with connect(READER, "reader") as reader:
                assert reader.execute("SELECT requests FROM run").fetchone() == (1,)
        finally:
            superuser.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    (tmp_path / "reader").write_text("\n")
    assert "holds no password" in complaint("migrate", *options, PGDATABASE="postgres", **server)
    half = swarmscope("migrate", *options[:4], PGDATABASE="postgres", **server)
    assert (half.exit_code, "give both" in half.stderr) == (2, True)


def test_a_comparison_shows_what_changed_first():
    """Of very many endpoints, those that became worse, then those that became better."""
    verdicts = [((f"/{i}", "GET"), "same") for i in range(100)]
    verdicts += [(("/50", "GET"), "worse"), (("/60", "GET"), "better"), (("", ""), "same")]

    shown = shortlist.changed(verdicts)

    assert {("", ""), ("/50", "GET"), ("/60", "GET")} <= shown
    assert len(shown) == shortlist.FEW + 1


def test_a_run_of_a_thousand_endpoints_fits_on_a_screen(connection, runs_database):
    """The busiest, slowest and most failing are shown; the rest is counted, with a way to it."""
    parts = {"queue": 1.0, "app": 5.0, "outside": 2.0}
    samples = [Sample(i / 100, 20, f"/item/{i}", parts=parts) for i in range(1000)]
    samples += [Sample(20 + i / 10, 20, "/busy", parts=parts) for i in range(100)]
    samples += [Sample(31, 5000, "/slow"), Sample(32, 20, "/failing", failed=True)]
    store_run(connection, samples)

    few = answer("show", "--database", runs_database, columns=140)
    every = answer("show", "--all", "--database", runs_database, columns=140)

    assert all(name in few for name in ("all endpoints", "GET /busy", "GET /slow", "GET /failing"))
    assert len(few.splitlines()) < 120
    shown = sum(line.startswith("GET ") for line in few.splitlines())
    assert f"{1003 - shown:,} of 1,003 endpoints are left out" in few
    assert "--all" in few
    assert sum(line.startswith("GET ") for line in every.splitlines()) == 1003
    assert "left out" not in every
