"""Two logs held against each other: whoever leaves something out, or tells it differently, is named."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from middleplatform.audit.entry import LogEntry, leaf_bytes, leaf_head
from middleplatform.audit.findings import Kind
from middleplatform.audit.reconcile import Reconciler
from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.errors import AuditError
from middleplatform.model.plan import Fragment
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import Role, Subject

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
OTHER_KEY = 2


class Two:
    """Both logs of made queries; a test leaves out or changes what it wants, then compares."""

    def __init__(self, make_rng):
        self.keys = [IdentityKey.generate(make_rng(f"ga {number}")) for number in range(3)]
        self.platform, self.node, self.queries = [], [], 0

    def fragment(self, number=0, attempt=1, protocol="local"):
        subject = Subject("lin", "drc", frozenset({Role.ANALYST}))
        cohort = ("ga",) if protocol == "local" else ("ga", "tax")
        sql = f'SELECT COUNT(*) AS "a0" FROM "ga"."population" AS "t{number}"'
        return Fragment(
            f"{self.queries:032x}", attempt, number, "ga", protocol, cohort, sql, subject,
            "statistics", "drc", "66" * 32, START.isoformat(),
        )  # fmt: skip

    def receipt(self, fragment, key=0, **changes):
        said = {
            "query_id": fragment.query_id, "fragment_digest": fragment.digest(), "policy_digest": "77" * 32,
            "protocol": fragment.protocol, "cells": 3, "result_digest": "88" * 32,
        }  # fmt: skip
        return sign_receipt(self.keys[key], ReceiptFields(**(said | changes)))

    def entry_of(self, fragment, receipt, **changes):
        """Return the node's body for a fragment, as ``node.journal`` writes it."""
        return {
            "node": "ga", "query_id": fragment.query_id, "fragment": fragment.digest(),
            "attempt": fragment.attempt, "number": fragment.number, "issued_at": fragment.issued_at,
            "subject": "lin", "department": "drc", "roles": ["analyst"], "regions": ["*"],
            "purpose": fragment.purpose, "project": fragment.project, "protocol": fragment.protocol,
            "cohort": list(fragment.cohort), "gateway_policy_digest": fragment.policy_digest,
            "policy_digest": "77" * 32, "sql": fragment.sql, "cells": 3,
            "result_digest": "88" * 32, "receipt": receipt,
        } | changes  # fmt: skip

    def request(self, **changes):
        return {
            "query_id": f"{self.queries:032x}", "subject": "lin", "department": "drc",
            "purpose": "statistics", "project": "drc", "policy_digest": "66" * 32,
        } | changes  # fmt: skip

    def at(self, **more):
        return START + timedelta(minutes=self.queries, **more)

    def to_platform(self, event, body, **more):
        self.platform.append((event, {"at": self.at(**more).isoformat()} | body))

    def to_node(self, event, body, **more):
        self.node.append((event, {"at": self.at(**more).isoformat()} | body))

    def query(self, blocks=1, end="released"):
        """Enter a whole query in both logs."""
        self.to_platform("received", self.request())
        told = []
        for number in range(blocks):
            made = self.fragment(number)
            receipt = self.receipt(made)
            self.to_node("released", self.entry_of(made, receipt), seconds=1 + number)
            told.append({"sql": made.sql, "receipts": {"ga": receipt, "tax": "mpr1.x"}})
        body = self.request() | ({"fragments": told} if end == "released" else {"code": "S002"})
        self.to_platform(end, body, seconds=30)
        self.queries += 1

    def run(self, keys=(0,), **reach):
        late = self.at(days=1)
        reach = {"platform_reach": late, "node_reach": late} | reach
        public = [self.keys[key].public_key for key in keys]
        self.compared = Reconciler("ga", public, **reach)
        return list(self.compared.run(entries(self.platform), entries(self.node)))

    def kinds(self, **reach):
        return [finding.kind for finding in self.run(**reach)]


def entries(log):
    for index, (event, body) in enumerate(log):
        yield LogEntry(index, leaf_bytes(leaf_head(AuditRecord(event, body)), index))


@pytest.fixture
def two(make_rng):
    return Two(make_rng)


def test_two_honest_logs_have_nothing_to_say(two):
    for blocks in (1, 2, 3):
        two.query(blocks)
    two.query(end="refused")
    assert two.run() == []
    tally = two.compared.tally
    assert (tally.matched, tally.not_released, tally.platform, tally.node) == (6, 1, 8, 7)


def test_a_hostile_gateway_that_hides_a_query_is_named(two):
    for _ in range(3):
        two.query()
    two.platform = [each for each in two.platform if each[1]["query_id"] != f"{1:032x}"]
    (found,) = two.run()
    assert (found.kind, found.query_id, found.node_index) == (Kind.HIDDEN, f"{1:032x}", 1)
    assert found.fault


def test_a_gateway_that_hides_the_last_query_of_all_is_named_when_its_log_reaches_further(two):
    two.query()
    two.query()
    del two.platform[2:]
    assert two.kinds() == [Kind.HIDDEN]
    (found,) = two.run(platform_reach=START)
    assert (found.kind, found.fault) == (Kind.OUTSIDE, False)


def test_a_query_that_the_platform_never_ended_is_named(two):
    two.query()
    del two.platform[1]
    assert two.kinds() == [Kind.UNENDED]


def test_an_answer_whose_receipt_the_release_leaves_out_is_named(two):
    two.query(blocks=2)
    two.platform[1][1]["fragments"][1]["receipts"].pop("ga")
    (found,) = two.run()
    assert (found.kind, found.platform_index, found.node_index) == (Kind.NOT_AT_PLATFORM, 1, 1)


def test_a_department_that_hides_an_answer_is_named_by_its_own_receipt(two):
    for _ in range(3):
        two.query()
    del two.node[1]
    (found,) = two.run()
    assert (found.kind, found.query_id, found.platform_index) == (
        Kind.NOT_AT_NODE,
        f"{1:032x}",
        3,
    )


def test_a_department_that_began_its_log_anew_does_not_lose_its_receipts(two):
    for _ in range(3):
        two.query()
    del two.node[:2]
    assert two.kinds() == [Kind.NOT_AT_NODE] * 2


def test_entries_after_one_log_was_taken_are_told_apart_from_missing_ones(two):
    for _ in range(10):
        two.query()
    del two.platform[12:]
    kinds = two.kinds(platform_reach=START)
    assert kinds == [Kind.OUTSIDE] * 4
    del two.node[5:]
    assert two.kinds(platform_reach=START, node_reach=START) == [Kind.OUTSIDE]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("purpose", "audit"),
        ("subject", "wei"),
        ("department", "tax"),
        ("project", "other"),
        ("policy_digest", "99" * 32),
    ],
)
def test_a_gateway_that_told_the_department_something_else_is_named(two, name, value):
    two.query()
    two.platform[1][1][name] = value
    (found,) = two.run()
    assert found.kind is Kind.DIFFERS
    assert found.names == ({"policy_digest": "gateway_policy_digest"}.get(name, name),)
    assert found.names[0] in found.what[0]


def sealed(two, key):
    """Return the department's answer to a question whose values leave encrypted under a key."""
    made = replace(two.fragment(), query_id=f"{0:032x}", sealed_for=key)
    receipt = two.receipt(made)
    two.node[0] = ("released", two.node[0][1] | two.entry_of(made, receipt, sealed_for=key))
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = receipt


def test_a_sealed_answer_is_held_against_the_other_log_like_a_plain_one(two):
    two.query()
    sealed(two, "ab" * 32)
    two.platform[1][1]["sealed_for"] = "ab" * 32
    assert two.run() == []
    assert two.compared.tally.matched == 1


@pytest.mark.parametrize("entered", ["cd" * 32, None])
def test_a_gateway_that_enters_another_key_than_the_values_were_sealed_for_is_named(two, entered):
    two.query()
    sealed(two, "ab" * 32)
    two.platform[1][1]["sealed_for"] = entered
    (found,) = two.run()
    assert (found.kind, found.names) == (Kind.DIFFERS, ("sealed_for",))


def noisy(two, rho):
    """Return the department's answer to a question that spends a privacy loss."""
    made = replace(two.fragment(), query_id=f"{0:032x}", noise=rho)
    receipt = two.receipt(made)
    two.node[0] = ("released", two.node[0][1] | two.entry_of(made, receipt, noise=rho))
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = receipt


def test_an_answer_with_noise_is_held_against_the_other_log_like_a_plain_one(two):
    two.query()
    noisy(two, "1/50")
    two.platform[1][1]["fragments"][0]["noise"] = "1/50"
    assert two.run() == []
    assert two.compared.tally.matched == 1


@pytest.mark.parametrize("entered", ["1/100", None])
def test_a_gateway_that_enters_another_loss_than_was_spent_is_named(two, entered):
    two.query()
    noisy(two, "1/50")
    two.platform[1][1]["fragments"][0]["noise"] = entered
    (found,) = two.run()
    assert (found.kind, found.names) == (Kind.DIFFERS, ("noise",))


def of_template(two, name):
    """Let the department's answer be to a fragment that names a template."""
    made = replace(two.fragment(), query_id=f"{0:032x}", template=name)
    receipt = two.receipt(made)
    two.node[0] = ("released", two.node[0][1] | two.entry_of(made, receipt, template=name))
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = receipt


def test_an_answer_under_a_template_is_held_against_the_other_log_like_a_plain_one(two):
    two.query()
    of_template(two, "education")
    two.platform[1][1]["fragments"][0]["template"] = "education"
    assert two.run() == []
    assert two.compared.tally.matched == 1


@pytest.mark.parametrize("entered", ["another", None])
def test_a_gateway_that_names_a_template_to_the_department_alone_is_named(two, entered):
    two.query()
    of_template(two, "education")
    two.platform[1][1]["fragments"][0]["template"] = entered
    (found,) = two.run()
    assert (found.kind, found.names) == (Kind.DIFFERS, ("template",))


def test_a_gateway_that_enters_another_text_is_named(two):
    two.query()
    two.platform[1][1]["fragments"][0]["sql"] = "SELECT 1"
    (found,) = two.run()
    assert found.names == ("sql",)


@pytest.mark.parametrize(
    "changes", [{"cells": 4}, {"result_digest": "99" * 32}, {"policy_digest": "99" * 32}]
)
def test_two_receipts_of_one_fragment_that_differ_are_named(two, changes):
    two.query()
    made = replace(two.fragment(), query_id=f"{0:032x}")
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = two.receipt(made, **changes)
    (found,) = two.run()
    assert (found.kind, found.names) == (Kind.DIFFERS, tuple(changes))


def test_a_receipt_that_another_key_signed_counts_for_nothing(two):
    two.query()
    made = replace(two.fragment(), query_id=f"{0:032x}")
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = two.receipt(made, key=OTHER_KEY)
    assert two.kinds() == [Kind.BAD_RECEIPT, Kind.NOT_AT_PLATFORM]
    assert two.kinds(keys=(0, OTHER_KEY)) == []


def test_a_receipt_of_another_query_counts_for_nothing(two):
    two.query()
    two.query()
    two.platform[3][1]["fragments"] = two.platform[1][1]["fragments"]
    assert two.kinds() == [Kind.BAD_RECEIPT, Kind.NOT_AT_PLATFORM]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sql", "SELECT 1"), ("purpose", "audit"), ("subject", "wei"), ("roles", ["auditor"]),
        ("cells", 4), ("result_digest", "99" * 32), ("fragment", "99" * 32), ("receipt", "mpr1.x"),
        ("policy_digest", "99" * 32), ("gateway_policy_digest", "99" * 32), ("roles", "none"),
        ("regions", None), ("cohort", 5), ("receipt", None), ("node", "tax"),
    ],
)  # fmt: skip
def test_a_department_that_enters_something_else_than_it_signed_is_named(two, name, value):
    two.query()
    two.node[0][1][name] = value
    assert Kind.BAD_RECEIPT in two.kinds()
    assert Kind.NOT_AT_NODE in two.kinds()


def test_an_answer_entered_twice_is_named_on_either_side(two):
    two.query()
    two.node.append(two.node[0])
    assert two.kinds() == [Kind.TWICE]
    del two.node[1]
    two.platform.append(two.platform[1])
    assert Kind.TWICE in two.kinds()


def test_a_query_id_that_is_used_again_is_named(two):
    two.query()
    two.platform.insert(1, two.platform[0])
    assert two.kinds() == [Kind.TWICE]


def test_refused_and_failed_fragments_must_be_known_to_the_platform(two):
    for event in ("refused", "failed", "received"):
        body = two.request() | {"fragment": "99" * 32, "code": "X003"}
        two.to_node(event, body)
        two.to_platform("received", two.request())
        two.to_platform("refused", two.request())
        two.queries += 1
    assert two.run() == []
    del two.platform[:2]
    (found,) = two.run()
    assert (found.kind, found.node_index) == (Kind.HIDDEN, 0)


def test_a_gateway_that_calls_a_query_failed_must_still_name_who_asked(two):
    two.query(end="failed")
    assert two.run() == []
    two.platform[1][1]["subject"] = "wei"
    (found,) = two.run()
    assert (found.kind, found.names) == (Kind.DIFFERS, ("subject",))


def test_a_later_attempt_stands_for_an_earlier_one_of_the_same_text_only(two):
    two.query()
    first, again = (replace(two.fragment(attempt=n), query_id=f"{0:032x}") for n in (1, 2))
    two.queries = 0
    two.to_node("released", two.entry_of(again, two.receipt(again)), seconds=5)
    two.platform[1][1]["fragments"][0]["receipts"]["ga"] = two.receipt(again)
    assert two.run() == []
    assert two.compared.tally.not_released == 1
    other = replace(first, sql="SELECT 2")
    two.node[0] = ("released", two.node[0][1] | two.entry_of(other, two.receipt(other)))
    assert two.kinds() == [Kind.NOT_AT_PLATFORM]


def test_own_questions_and_unsigned_messages_are_counted_and_asked_of_nobody(two):
    two.to_node("released", two.request() | {"protocol": "own"})
    two.to_node("refused", {"code": "X001", "message": "99" * 32})
    two.to_node("start", {"version": "1"})
    assert two.run() == []
    assert (two.compared.tally.own, two.compared.tally.unsigned) == (1, 1)


def test_what_is_certain_is_told_before_the_end_and_only_an_hour_is_kept(two):
    for _ in range(300):
        two.query()
    del two.platform[0:2]
    compared = Reconciler("ga", [two.keys[0].public_key])
    kept = []
    for finding in compared.run(entries(two.platform), entries(two.node)):
        assert finding.kind is Kind.HIDDEN
        kept.append(compared.tally.platform)
    assert kept[0] < 150
    sizes = []
    compared = Reconciler("ga", [two.keys[0].public_key])

    def watched():
        for entry in entries(two.node):
            sizes.append(len(compared._queries))
            yield entry

    list(compared.run(entries(two.platform), watched()))
    assert max(sizes) < 70


def test_a_silence_in_one_log_does_not_put_a_hidden_query_outside(two):
    two.query()
    two.queries += 300
    two.to_node("released", two.entry_of(two.fragment(), two.receipt(two.fragment())))
    two.queries += 300
    two.query()
    two.queries += 300
    two.query()
    assert two.kinds(platform_reach=START, node_reach=START) == [Kind.HIDDEN]


def test_since_leaves_out_what_is_older(two):
    for _ in range(20):
        two.query()
    del two.platform[0:2]
    assert two.kinds() == [Kind.HIDDEN]
    assert two.kinds(since=START + timedelta(minutes=5)) == []


@pytest.mark.parametrize("body", [{}, {"at": 5}, {"at": "soon"}])
def test_an_entry_without_a_time_is_no_entry(two, body):
    leaf = json.dumps({"body": body, "event": "received", "index": 0}).encode()
    compared = Reconciler("ga", [two.keys[0].public_key])
    with pytest.raises(AuditError) as caught:
        list(compared.run([LogEntry(0, leaf)], []))
    assert caught.value.code == "A002"


def test_a_log_whose_members_have_other_shapes_breaks_nothing(two):
    two.query()
    for wrong in (5, [5], [{"receipts": 5}], [{"receipts": {"ga": 5}}], None):
        two.platform[1][1]["fragments"] = wrong
        assert Kind.NOT_AT_PLATFORM in two.kinds()
    two.platform[1][1]["query_id"] = 5
    assert two.kinds() == [Kind.UNENDED]
