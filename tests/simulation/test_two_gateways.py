"""Two gateways on one PostgreSQL under load, one killed or stopped, and the other: nothing acknowledged is lost."""

import signal
import threading
from collections import Counter

import pytest
from node_world import PEOPLE, duckdb_sources, until
from postgres_server import running_server
from two_gateways import Analyst, running_pair

from middleplatform.audit.proof import check_receipt
from middleplatform.model.record import Receipt

KILLS = 2
ANALYSTS = 4
STATEMENTS = (
    PEOPLE,
    "SELECT tax_year, COUNT(*) AS n FROM tax.individual_income GROUP BY tax_year",
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


def test_gateways_that_are_killed_or_stopped_cost_no_acknowledged_answer_and_the_other_goes_on(
    pair,
):
    analysts = [Analyst(pair, number, STATEMENTS) for number in range(ANALYSTS)]
    threads = [threading.Thread(target=each.run) for each in analysts]
    for each in threads:
        each.start()
    try:
        for number in range(KILLS):
            more(analysts, 10, "answers before a kill")
            victim = pair.gateways[number % 2]
            victim.kill()
            victim.launch()
            more(analysts, 10, "answers of the other gateway")
            victim.wait()
        stopped = pair.gateways[0]
        stopped.freeze()
        until(lambda: pair.places() == 1, "a stopped gateway to lose its place")
        more(analysts, 10, "answers of the other gateway")
        assert stopped.ends_itself() == signal.SIGTERM
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
    """Hold what clients were told against the log."""
    asked = {query_id for each in analysts for query_id in each.asked}
    answers = {name: told for each in analysts for name, told in each.answers.items()}
    codes = {name: code for each in analysts for name, code in each.ended.items()}
    assert set(answers) | set(codes) == asked
    assert set(codes.values()) == {"L006"}, "no question was under way at any kill"
    with pair.log() as log:
        assert log.verify() == log.size
        whole = [(each.index, each.record) for each in log.entries()]
        entries = [each for each in whole if "query_id" in each[1].body]
        ends = {
            each.body["query_id"]: (index, each) for index, each in entries if each.event in ENDS
        }
        counts = Counter((each.event in ENDS, each.body["query_id"]) for _, each in entries)
        assert set(counts.values()) == {1}, "nothing is entered twice"
        assert asked <= set(ends)
        for query_id, told in answers.items():
            said, (index, record) = told["receipt"], ends[query_id]
            assert (record.event, index) == ("released", said["index"])
            leaf, checkpoint, proof = said["leaf_hash"], said["checkpoint"], said["proof"]
            check_receipt(record, Receipt(index, leaf, checkpoint, tuple(proof)), log.keys)
        for (
            query_id,
            code,
        ) in codes.items():  # one killed between its entry and its answer was released
            _, record = ends[query_id]
            assert record.body.get("code", "L006") == code
