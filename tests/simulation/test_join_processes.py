"""Departments, one of them on PostgreSQL, and a key holder as real processes behind mutual TLS: are private joins of
both protocols the pooled answer, and does every party's own log say so?
"""

import json

import pooled_world as made
import pytest
from join_processes import BLINDED, DEPARTMENTS, PARTIES, Rules, running_joins
from pooled_answers import normal, plain, unmatched
from postgres_server import READER, SCHEMA, running_server

from middleplatform.cli.main import main
from middleplatform.dispatch.dispatcher import KEY_HOLDER

HELPER = (
    "SELECT p.region AS d0, c.plan AS d1, COUNT(*) AS a0, SUM(p.score) AS a1 FROM ga.people AS p JOIN hb.card AS c ON p.id = c.id GROUP BY 1, 2",
    ("SELECT v.kind AS d0, COUNT(*) AS a0, COUNT(DISTINCT v.id) AS a1, SUM(v.cost) AS a2, AVG(v.days) AS a3"
    " FROM hb.visits AS v JOIN ga.people AS p ON p.id = v.id WHERE p.sex = '男' GROUP BY 1"),
    "SELECT p.sex AS d0, c.plan AS d1, COUNT(*) AS a0 FROM ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id GROUP BY 1, 2",
    ("SELECT p.region AS d0, COUNT(*) AS a0, STDDEV_SAMP(p.fee) AS a1 FROM ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id"
    " WHERE c.id IS NULL GROUP BY 1"),
    ("SELECT COUNT(*) AS a0, SUM(u.s) AS a1 FROM ga.people AS p"
    " JOIN (SELECT id, COUNT(*) AS n, SUM(cost) AS s FROM hb.visits GROUP BY id) AS u ON u.id = p.id WHERE u.n >= 2"),
)  # fmt: skip
BLIND = (
    ("SELECT p.region AS d0, t.bracket AS d1, COUNT(*) AS a0, SUM(t.paid) AS a1 FROM ga.people AS p"
    " JOIN tc.payer AS t ON t.id = p.id WHERE t.year = 2023 GROUP BY 1, 2"),
    ("SELECT p.sex AS d0, COUNT(*) AS a0, SUM(v.cost) AS a1 FROM hb.visits AS v JOIN ga.people AS p ON p.id = v.id"
    " JOIN tc.payer AS t ON t.id = v.id WHERE t.year = 2022 GROUP BY 1"),
)  # fmt: skip
UNREACHED = (
    "SELECT f.section AS d0, COUNT(*) AS a0 FROM county.firm AS f"
    " JOIN (SELECT employer, COUNT(*) AS n FROM tc.payer WHERE employer IS NOT NULL GROUP BY employer) AS u"
    " ON u.employer = f.uscc WHERE f.year = 2022 GROUP BY 1"
)


@pytest.fixture(scope="module")
def rows():
    return made.rows()


@pytest.fixture(scope="module")
def pool(rows):
    with made.pooled(rows, once=True) as connection:
        yield connection


def files(rules, folder, names):
    return {
        name: rules.source("duckdb", {"path": str(folder / f"{name}.duckdb"), "threads": "1"})
        for name in names
    }


@pytest.fixture(scope="module")
def partners(rows, tmp_path_factory):
    """A platform that has no key holder."""
    folder = tmp_path_factory.mktemp("partners")
    rules = Rules(*made.write_rules(folder, made.EXACT, join=BLINDED))
    made.write_data(folder / "data", {name: rows[name] for name in DEPARTMENTS})
    sources = files(rules, folder / "data", DEPARTMENTS)
    with running_joins(
        folder / "parties", rules, sources, deadline_s=30, key_holder=False
    ) as found:
        yield found


@pytest.fixture(scope="module")
def world(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("joins")
    rules = Rules(*made.write_rules(folder, made.EXACT, join=BLINDED))
    made.write_data(folder / "data", {name: rows[name] for name in ("ga", "tc")})
    with running_server() as server:
        server.load({name: made.arrow(f"hb.{name}", found) for name, found in rows["hb"].items()})
        options = {
            "host": "127.0.0.1", "port": str(server.port), "dbname": "postgres", "user": READER, "schema": SCHEMA,
            "threads": "1", "memory_mb": "64",
        }  # fmt: skip
        sources = files(rules, folder / "data", ("ga", "tc"))
        sources["hb"] = rules.source("postgres", options)
        with running_joins(folder / "parties", rules, sources, deadline_s=30) as found:
            yield found


def check(world, pool, sql, parties=PARTIES):
    """Ask; the answer must be the pooled one, and nobody keeps a round."""
    found = world.ask(sql)
    assert (found.code, found.protocol) == ("", "private_join"), found
    shown = [tuple(map(normal, row)) for row in found.rows]
    assert unmatched(shown, plain(pool, sql)) == ([], [])
    assert world.at_rest(parties)
    return found


@pytest.mark.parametrize("sql", [*HELPER, *BLIND])
def test_the_answer_is_the_pooled_one_and_every_party_signed_for_its_part(world, pool, sql):
    found = check(world, pool, sql)
    parties = {name for name in DEPARTMENTS if f"{name}." in sql} | {KEY_HOLDER}
    receipts = world.receipts(found.query_id)
    assert set(receipts) == parties
    for name in PARTIES:
        entries = world.party_entries(name, found.query_id)
        assert [event for event, _ in entries] == (
            ["received", "released"] if name in parties else []
        )
        for _, entry in entries:
            assert (entry["protocol"], set(entry["cohort"])) == ("private_join", parties)
            text = entry["sql"].replace('"', "")
            assert all(f"{each}." in text for each in parties - {KEY_HOLDER})
        assert not entries or entries[-1][1]["receipt"] == receipts[name]


@pytest.mark.parametrize("sql", [HELPER[0], HELPER[1], *BLIND])
def test_without_a_key_holder_a_partner_removes_the_masks(partners, pool, sql):
    found = check(partners, pool, sql, DEPARTMENTS)
    assert set(partners.receipts(found.query_id)) <= set(DEPARTMENTS)


def test_departments_that_know_a_key_holder_join_with_it_only(world):
    with world.partners_only():
        found = world.ask(HELPER[0])
    assert (found.code, found.phase) == ("X003", "open")
    assert world.party_entries(KEY_HOLDER, found.query_id) == []
    assert world.at_rest(PARTIES)


def test_who_holds_a_table_and_was_never_enrolled_ends_the_question(world):
    found = world.ask(UNREACHED)
    assert (found.code, found.phase) == ("X006", "open")
    assert world.entries(found) == [("received", ""), ("failed", "X006")]
    assert world.at_rest(PARTIES)
    assert ("released", "") not in world.node_entries("tc", found)


@pytest.mark.parametrize("party", PARTIES)
def test_the_platforms_log_and_each_partys_own_agree(world, pool, capsys, party):
    check(world, pool, BLIND[1])
    root = world.processes.root
    trust = root / "gateway"
    command = [
        "audit", "reconcile", "--platform", str(root / "platform" / "audit.db"), "--node", str(world.state(party) / "audit.db"),
        "--node-key", str(trust), "--json",
    ]  # fmt: skip
    code = main(command)
    told = json.loads(capsys.readouterr().out)
    assert (code, told["faults"], told["findings"]) == (0, 0, [])
    assert told["department"] == party
    assert told["entries"]["matched"] > 0
