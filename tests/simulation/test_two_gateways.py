"""Two gateways on one PostgreSQL, one killed under load, again and again: nothing acknowledged is lost or told twice."""

import threading
import time
from collections import Counter

import pytest
from node_world import PEOPLE, duckdb_sources, until
from postgres_server import running_server
from two_gateways import Analyst, running_pair

from middleplatform.audit.proof import check_receipt
from middleplatform.model.record import Receipt

KILLS = 4
ANALYSTS = 4
STATEMENTS = (
    PEOPLE,
    "SELECT tax_year, COUNT(*) AS n FROM tax.individual_income GROUP BY tax_year",
    "SELECT id_number FROM ga.population",
)
ENDS = {"released", "refused", "failed"}


@pytest.fixture(scope="module")
def pair(demo_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    with (
        running_server() as server,
        running_pair(folder, server, duckdb_sources(demo_data, ["ga", "tax"]), ANALYSTS) as found,
    ):
        yield found


def test_a_killed_gateway_costs_no_acknowledged_answer_and_the_other_goes_on(pair):
    analysts = [Analyst(pair, number, STATEMENTS) for number in range(ANALYSTS)]
    threads = [threading.Thread(target=each.run) for each in analysts]
    for each in threads:
        each.start()
    try:
        for number in range(KILLS):
            more(analysts, 10, "answers before a kill")
            victim = pair.gateways[number % 2]
            victim.kill()
            more(analysts, 10, "answers of the other gateway")
            victim.launch()
            victim.wait()
    finally:
        for each in analysts:
            each.stop.set()
        for each in threads:
            each.join()
    assert [each.faults for each in analysts] == [[]] * ANALYSTS
    check(pair, analysts)


def more(analysts, count, what):
    """Wait for so many more answers."""
    before = sum(len(each.answers) for each in analysts)
    until(lambda: sum(len(each.answers) for each in analysts) >= before + count, what)


def check(pair, analysts):
    asked = {query_id for each in analysts for query_id in each.asked}
    answers = {name: told for each in analysts for name, told in each.answers.items()}
    codes = {name: code for each in analysts for name, code in each.ended.items()}
    assert set(answers) | set(codes) == asked
    assert set(codes.values()) <= {"P001", "L006"}
    assert "L006" in codes.values(), "no question was under way at any kill"
    with pair.log() as log:
        assert log.verify() == log.size
        entries = [(each, each.record) for each in log.entries()]
        ends = Counter(record.body["query_id"] for _, record in entries if record.event in ENDS)
        received = Counter(
            record.body["query_id"] for _, record in entries if record.event == "received"
        )
        assert set(ends.values()) == set(received.values()) == {1}
        assert asked <= set(ends)
        by_id = {
            record.body["query_id"]: (each, record)
            for each, record in entries
            if record.event in ENDS
        }
        for query_id, told in answers.items():
            entry, record = by_id[query_id]
            assert record.event == "released"
            said = told["receipt"]
            assert entry.index == said["index"]
            receipt = Receipt(
                said["index"], said["leaf_hash"], said["checkpoint"], tuple(said["proof"])
            )
            check_receipt(record, receipt, log.keys)
        for query_id, code in codes.items():
            _, record = by_id[query_id]
            # One that was killed between its entry and its answer was released, by its word in the log.
            assert record.body.get("code", "L006") == code
