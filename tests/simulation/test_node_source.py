"""A department's PostgreSQL server, or its node, is slow, locked, killed, hung or changed: what the asker, both logs
and the server show, and that the same question is answered once all is well again.

The table is a view that waits as long as a test says; a lock on its rows makes statements wait for ever.
"""

import signal
from contextlib import closing, contextmanager

import duckdb
import pytest
from node_world import (
    PEOPLE,
    duckdb_sources,
    known_values,
    other_gateway,
    running_world,
    shipped,
    until,
)
from postgres_server import READER, SCHEMA, running_server

from middleplatform.demo.sources import SourceSpec

TAX = "SELECT tax_year, COUNT(*) AS n FROM tax.individual_income GROUP BY tax_year"
COLUMNS = "id_number, name, sex, birth_year, region_code, education_years, household_id"
OURS = "application_name = 'middleplatform' AND state <> 'idle'"


class Source:
    """The server's side of the department."""

    def __init__(self, server):
        self.server = server

    def make(self, data):
        with duckdb.connect(str(data / "ga.duckdb"), read_only=True) as connection:
            people = connection.sql(
                "SELECT * REPLACE (birth_year::BIGINT AS birth_year,"
                " education_years::BIGINT AS education_years) FROM population"
            ).to_arrow_table()
        self.server.load({"people": people})
        self.server.run(
            f"CREATE TABLE {SCHEMA}.pause (seconds float8)",
            f"INSERT INTO {SCHEMA}.pause VALUES (0)",
        )
        self.view(COLUMNS)

    def view(self, columns):
        """Make the table anew, with these columns."""
        slow = f"(SELECT pg_sleep(seconds) FROM {SCHEMA}.pause OFFSET 0) AS waited"
        self.server.run(
            f"DROP VIEW IF EXISTS {SCHEMA}.population",
            f"CREATE VIEW {SCHEMA}.population AS SELECT {columns} FROM {SCHEMA}.people, {slow}",
            f"GRANT SELECT ON {SCHEMA}.population TO {READER}",
        )

    def pause(self, seconds):
        self.server.run(f"UPDATE {SCHEMA}.pause SET seconds = {seconds}")

    @contextmanager
    def locked(self):
        """Keep every reader of the rows waiting."""
        with self.server.connected() as connection, closing(connection.cursor()) as cursor:
            cursor.executescript(f"BEGIN; LOCK TABLE {SCHEMA}.people IN ACCESS EXCLUSIVE MODE")
            yield
            cursor.executescript("ROLLBACK")

    def running(self):
        """Return how many statements of ours run or wait, open transactions included."""
        ((count,),) = self.server.rows(f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}")
        return count


@pytest.fixture(scope="module")
def server():
    with running_server() as found:
        yield found


@pytest.fixture(scope="module")
def source(server, demo_data):
    found = Source(server)
    found.make(demo_data)
    return found


@pytest.fixture(scope="module")
def world(source, demo_data, tmp_path_factory):
    catalog, bundle = shipped()
    options = {
        "host": "127.0.0.1", "port": str(source.server.port), "dbname": "postgres", "user": READER,
        "schema": SCHEMA, "lock_timeout_s": "60", "threads": "1", "memory_mb": "64",
    }  # fmt: skip
    sources = {
        **duckdb_sources(demo_data, ["tax"]),
        "ga": SourceSpec("postgres", options, catalog, bundle),
    }
    with running_world(tmp_path_factory.mktemp("source"), sources) as found:
        yield found


@pytest.fixture(scope="module")
def right(world):
    """Return what the question is answered with while all is well."""
    return world.answered(PEOPLE)


@pytest.fixture(scope="module")
def secrets(demo_data):
    return known_values(demo_data, "ga", "population", ["id_number", "name", "household_id"])


@pytest.fixture(autouse=True)
def _healed(world, source, right, secrets):
    """After each test: the same answer as before, nothing under way anywhere, nothing told."""
    yield
    assert world.answered(PEOPLE) == right
    until(lambda: not source.running(), "the end of every statement")
    until(lambda: world.at_rest(["ga"]), "a node at rest")
    assert world.leaks(secrets) == set()


def started(world, source, sql=PEOPLE):
    """Ask in another thread; return once its statement waits in the server."""
    asked = world.asking(sql)
    until(source.running, "a statement under way")
    return asked


def test_a_node_killed_while_its_statement_runs_is_unreachable_and_its_statement_ends(
    world, source
):
    with source.locked():
        asked = started(world, source)
        world.kill("ga")
        found = asked.result()
    assert found.code == "S001"
    assert world.entries(found) == [("received", ""), ("failed", "S001")]
    assert world.node_entries("ga", found) == []
    until(lambda: not source.running(), "the end of the dead node's statement")
    world.restart("ga")


def test_a_statement_longer_than_the_deadline_is_late_and_cancelled_while_the_node_answers_others(
    world, source, right
):
    source.pause(600)
    asked = started(world, source)
    source.pause(0)
    assert world.answered(PEOPLE) == right
    found = asked.result()
    assert found.code == "S002"
    assert world.entries(found)[-1] == ("failed", "S002")
    until(lambda: not source.running(), "the end of the late statement")
    until(lambda: world.node_entries("ga", found), "the node's own entry")
    assert world.node_entries("ga", found) == [("failed", "L003")]


def test_a_table_locked_beyond_the_deadline_is_late_and_its_statement_ends_before_the_lock(
    world, source
):
    with source.locked():
        found = started(world, source).result()
        until(lambda: not source.running(), "the end of the waiting statement")
    assert found.code == "S002"
    assert world.entries(found)[-1] == ("failed", "S002")


def test_a_hung_node_is_late_and_goes_on_when_it_is_woken(world, right):
    world.send("ga", signal.SIGSTOP)
    found = world.ask(PEOPLE)
    assert found.code == "S002"
    assert world.entries(found) == [("received", ""), ("failed", "S002")]
    assert world.ask(TAX).code == ""
    world.send("ga", signal.SIGCONT)
    assert world.answered(PEOPLE) == right


def test_a_node_that_hangs_during_a_call_is_late_and_gives_its_late_work_up(world, source):
    with source.locked():
        asked = started(world, source)
        world.send("ga", signal.SIGSTOP)
        found = asked.result()
        assert found.code == "S002"
        world.send("ga", signal.SIGCONT)
        until(lambda: not source.running(), "the end of the statement of the woken node")
    assert world.entries(found)[-1] == ("failed", "S002")
    ended = until(lambda: world.node_entries("ga", found), "the woken node's entry")
    assert ended in ([("failed", "L003")], [("failed", "S002")])


def test_a_server_killed_while_a_statement_runs_is_told_as_unreachable_and_found_again(
    world, source
):
    source.pause(600)
    asked = started(world, source)
    source.server.kill()
    found = asked.result()
    assert found.code == "S001"
    assert world.entries(found)[-1] == ("failed", "S001")
    assert set(world.node_entries("ga", found)) == {("failed", "S001")}
    assert world.ask(PEOPLE).code == "S001"
    source.server.start()
    source.pause(0)


@pytest.mark.parametrize(
    ("columns", "named", "restarted"),
    [
        (COLUMNS.replace("region_code", "region_code AS region"), "region_code", True),
        (COLUMNS.replace("region_code", "region_code::bigint"), "region_code", False),
        # One that the question does not read, with values that no driver may quote.
        (COLUMNS.replace("birth_year", "name AS birth_year"), "birth_year", False),
    ],
)
def test_another_schema_is_named_by_data_set_and_column_also_after_a_restart(
    world, source, columns, named, restarted
):
    source.view(columns)
    asked = [world.ask(PEOPLE)]
    if restarted:
        world.kill("ga")
        world.restart("ga")
        asked.append(world.ask(PEOPLE))
    for each in asked:
        assert each.code == "S010"
        assert "ga.population" in each.message
        assert f"column {named}" in each.message
        assert f"列 {named}" in each.message
        assert world.entries(each)[-1] == ("failed", "S010")
        assert world.node_entries("ga", each) == [("failed", "S010")]
    source.view(COLUMNS)


def test_a_gateway_killed_while_it_asks_leaves_no_statement_and_no_call(world, source, tmp_path):
    with source.locked(), other_gateway(world, tmp_path, PEOPLE) as gateway:
        until(source.running, "the statement of the other gateway")
        gateway.kill()
        gateway.wait()
        until(lambda: not source.running(), "the end of the dead gateway's statement")
        until(lambda: world.at_rest(["ga"]), "a node at rest")


def test_a_node_asked_to_stop_finishes_the_running_call_first(world, source, right, tmp_path):
    process = world.processes.process("ga")
    with world.patient(tmp_path) as patient:
        with source.locked():
            asked = started(patient, source)
            process.send_signal(signal.SIGTERM)
            until(lambda: world.ask(PEOPLE).code == "S001", "a node that takes no new calls")
        assert asked.result().rows == right
    assert process.wait(60) == 0
    world.restart("ga")
