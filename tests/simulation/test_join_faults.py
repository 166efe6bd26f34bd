"""A private join of real processes while one party, the network or the gateway fails at each step: it ends with one code,
the operator is told the phase, nothing of it is released, nobody keeps its round, and the next question is answered.
"""

import resource
import signal

import pooled_world as made
import pytest
from failing_node import held
from fault_proxy import FaultProxy
from join_processes import BLINDED, PARTIES, Rules, asking_process, running_joins
from node_world import until

from middleplatform.crypto.messages import Hello
from middleplatform.dispatch.dispatcher import KEY_HOLDER
from middleplatform.wire.frame import REPLY, decode, unpack
from middleplatform.wire.join_lists import ListHead, ListPart, Points

HELPED = (
    "SELECT v.kind AS d0, p.sex AS d1, COUNT(*) AS a0, SUM(v.cost) AS a1 FROM hb.visits AS v JOIN ga.people AS p"
    " ON p.id = v.id GROUP BY 1, 2"
)
BLIND = (
    "SELECT p.region AS d0, COUNT(*) AS a0, SUM(t.paid) AS a1 FROM ga.people AS p JOIN tc.payer AS t ON t.id = p.id"
    " WHERE t.year = 2023 GROUP BY 1"
)
ASKED = {"ga": HELPED, "hb": HELPED, KEY_HOLDER: HELPED, "tc": BLIND}
"""A question in which the party takes part."""

PHASE = {
    "join_open": "open", "join_agree": "open", "join_list": "lists", "join_rows": "rows", "join_points": "rows",
    "join_blind": "rows", "join_sums": "sums", "join_reveal": "labels",
}  # fmt: skip
LAST = 4
"""Requests that the key holder gets for one question: open, agree, sums, labels."""


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    return Rules(*made.write_rules(tmp_path_factory.mktemp("rules"), made.EXACT, join=BLINDED))


@pytest.fixture(scope="module")
def world(rules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    data = made.rows()
    made.write_data(folder / "data", {name: data[name] for name in ("ga", "hb", "tc")})
    sources = {
        name: rules.source("duckdb", {"path": str(folder / "data" / f"{name}.duckdb"), "threads": "1"})
        for name in ("ga", "hb", "tc")
    }  # fmt: skip
    with running_joins(folder / "parties", rules, sources, deadline_s=4) as found:
        yield found


@pytest.fixture(scope="module")
def proxy(world):
    """Stand between the gateway and the key holder."""
    port = int(world.address(KEY_HOLDER).rpartition(":")[2])
    with FaultProxy(port) as found:
        world.admit(KEY_HOLDER, f"127.0.0.1:{found.port}")
        yield found


@pytest.fixture(scope="module")
def right(world, proxy):
    found = {sql: world.answered(sql) for sql in (HELPED, BLIND)}
    proxy.befall()
    assert world.answered(HELPED) == found[HELPED]
    assert proxy.requests == LAST, "one request a step, and no other"
    return found


@pytest.fixture(autouse=True)
def _healed(world, proxy, right):
    """After each test: nobody holds a round, and the same questions have the same answers."""
    yield
    proxy.at_ease()
    for name in PARTIES:
        if world.processes.process(name).poll() is not None:
            world.restart(name)
    until(lambda: world.at_rest(PARTIES), "the end of every round")
    for sql, rows in right.items():
        assert world.answered(sql) == rows


def others(party):
    return [name for name in PARTIES if name != party]


def ended(world, party, code, phase):
    """Ask what ``party`` takes part in: it must end so, be told so, and leave nothing with the others."""
    found = world.ask(ASKED[party])
    assert (found.code, found.phase) == (code, phase), found
    assert found.rows == ()
    assert world.entries(found) == [("received", ""), ("failed", code)]
    assert f"private join, phase {phase}: " in world.operator_lines()[-1]
    left = others(party)
    assert world.holds_no_round(left), "told at once that it is over"
    until(lambda: world.at_rest(left), "the end of every call")
    for name in left:
        events = [event for event, _ in world.party_entries(name, found.query_id)]
        ends = [event for event in events if event != "received"]
        if (
            phase == "labels"
        ):  # its labels and receipt may have left before it heard that all is over
            assert len(ends) >= events.count("received")
        else:
            assert len(ends) == events.count("received")
            assert "released" not in ends
    return found


# --- missing, killed, late --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "step"),
    [
        ("ga", "join_agree"), ("hb", "join_open"), ("hb", "join_list"), ("hb", "join_rows"), ("hb", "join_reveal"),
        ("tc", "join_points"), ("tc", "join_blind"), (KEY_HOLDER, "join_sums"),
    ],
)  # fmt: skip
def test_a_party_killed_at_a_step_and_missing_since_is_unreachable(world, party, step):
    world.fail(party, step, "kill")
    process = world.processes.process(party)
    found = world.ask(ASKED[party])
    assert process.wait(60) == -signal.SIGKILL
    assert (found.code, found.phase) == ("S001", "open"), "missing at the second attempt"
    assert party in found.message
    (first,) = [each for each in world.operator_lines() if f"{found.query_id}, attempt 1" in each]
    assert f"private join, phase {PHASE[step]}: " in first
    assert world.holds_no_round(others(party))
    ended(world, party, "S001", "open")


@pytest.mark.parametrize(("party", "step"), [("hb", "join_list"), (KEY_HOLDER, "join_sums")])
def test_a_party_that_hangs_at_a_step_is_late_and_gives_nothing_once_it_goes_on(world, party, step):
    world.fail(party, step, "stop")
    found = ended(world, party, "S002", PHASE[step])
    world.wake(party)
    until(lambda: world.at_rest([party]), "the end of the late step")
    events = world.node_entries(party, found)
    assert events[0] == ("received", "")
    assert {code for _, code in events[1:]} <= {"L003", "X001", "S002"}
    assert len(events) > 1


# --- another attempt --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, LAST + 1))
def test_a_connection_cut_at_any_step_is_survived(world, proxy, right, number):
    proxy.at_request(number, proxy.cut)
    found = world.ask(HELPED)
    assert (found.code, found.rows) == ("", right[HELPED])
    assert world.entries(found) == [("received", ""), ("released", "")]
    assert proxy.requests > number


@pytest.mark.parametrize("sql", [HELPED, BLIND])
def test_another_attempt_has_no_key_token_code_or_word_in_common_with_the_first(
    world, proxy, right, sql
):
    proxy.at_request(3, proxy.cut)
    with world.recorded() as exchanges:
        assert world.ask(sql).rows == right[sql]
    first, second = told(world, exchanges, 0), told(world, exchanges, 1)
    assert first.keys() == second.keys()
    assert {name for name in first if first[name]} >= {
        "exchange keys",
        "label keys",
        "codes",
        "notes",
        "tokens",
        "words",
    }
    for name in first:
        assert not first[name] & second[name], name
    assert all(len(first[name]) == len(second[name]) for name in first)


def told(world, exchanges, attempt):
    """Return what the parties told the gateway at one attempt, piece by piece."""
    pins = world.platform.gateway.dispatcher.pins
    found = {
        name: set()
        for name in (
            "exchange keys",
            "label keys",
            "codes",
            "notes",
            "marks",
            "tokens",
            "points",
            "words",
        )
    }
    heads = {}
    for party in PARTIES:
        replies = {}
        for each in exchanges:
            if each.department == party and each.reply is not None:
                raw = decode(each.reply, pins, kind=REPLY, sender=party, receiver="gateway")
                replies.setdefault(each.name, []).append(raw.part(0) if raw.parts else b"")
        one = {
            name: raw[attempt]
            for name, raw in replies.items()
            if attempt < len(raw) and name != "drop"
        }
        if not one:
            continue
        found["exchange keys"].add(Hello.from_bytes(one["join_open"]).exchange_key)
        found["label keys"] |= set(unpack(one["join_agree"], 9))
        if "join_list" not in one:
            continue
        head = heads[party] = ListHead.from_bytes(one["join_list"])
        part = ListPart.from_bytes(one["join_rows"], head)
        found["codes"] |= set(head.codes)
        found["notes"] |= {head.note} - {b""}
        found["marks"] |= {head.marks} - {b""}
        found["tokens"] |= set(map(bytes, part.tokens))
        found["words"] |= set(part.words.ravel().tolist())
        if "join_points" in one:
            found["points"].add(one["join_points"])
            found["tokens"] |= set(map(bytes, Points.from_bytes(one["join_blind"]).values))
    return found


# --- lies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "step", "lie", "phase"),
    [
        ("hb", "join_list", "fewer rows", "rows"), ("hb", "join_list", "more rows", "rows"),
        ("ga", "join_list", "another side", "lists"),
        ("hb", "join_list", "another note", "sums"), ("hb", "join_list", "other marks", "sums"),
        ("hb", "join_rows", "short part", "rows"), ("hb", "join_rows", "short tokens", "rows"),
        ("tc", "join_blind", "short blinded tokens", "rows"), ("tc", "join_points", "points above the prime", "rows"),
        ("tc", "join_points", "points with the high bit", "rows"), ("tc", "join_points", "points of small order", "rows"),
        ("tc", "join_points", "points of the twist", "rows"),
        (KEY_HOLDER, "join_sums", "fewer sums", "sums"), (KEY_HOLDER, "join_sums", "narrow sums", "sums"),
        (KEY_HOLDER, "join_sums", "noise", "sums"), (KEY_HOLDER, "join_reveal", "no receipt", "labels"),
    ],
)  # fmt: skip
def test_a_party_that_lies_ends_the_question_for_good(world, party, step, lie, phase):
    world.fail(party, step, lie)
    found = ended(world, party, "X001", phase)
    attempts = {entry["attempt"] for _, entry in world.party_entries(party, found.query_id)}
    assert attempts == {1}, "who deviates is not asked again"


def test_a_question_whose_id_came_before_is_refused(world):
    first = world.ask(HELPED)
    again = world.ask(HELPED, first.query_id)
    assert (again.code, again.phase, again.rows) == ("X002", "open", ())
    told = [world.node_entries(name, first) for name in ("ga", "hb", KEY_HOLDER)]
    assert all(each[:2] == [("received", ""), ("released", "")] for each in told)
    # Whoever refused first ended the wait for the others.
    assert {event for each in told for event in each[2:]} == {("refused", "X002")}


# --- disks, gateways --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("party", "step"), [("hb", "join_open"), ("hb", "join_reveal"), (KEY_HOLDER, "join_reveal")]
)
def test_a_log_that_is_full_lets_nothing_leave(world, party, step):
    world.fail(party, step, "full")
    pid = world.pid(party)
    try:
        found = ended(world, party, "A001", PHASE[step])
    finally:
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert ("released", "") not in world.node_entries(party, found)


def test_a_gateway_that_vanishes_is_forgotten_and_entered(world, rules, tmp_path):
    world.fail("hb", "join_rows", "hold")
    file = held(world.state("hb"))
    with asking_process(world, tmp_path, rules, HELPED) as gateway:
        until(file.exists, "the rows of the other gateway")
        gateway.kill()
        gateway.wait()
    until(lambda: world.metric("hb", "joins") == 0, "the end of the round whose reply nobody takes")
    file.unlink()
    until(lambda: world.at_rest(PARTIES), "the end of every round without a gateway")
    for name, code in (("ga", "S002"), ("hb", "L003"), (KEY_HOLDER, "S002")):
        entry = world.newest_entry(name)
        assert (entry["event"], entry["code"]) == ("failed", code), name
