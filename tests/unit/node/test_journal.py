"""The node's log: every answer and refusal has its entry before anything leaves, and holds no value."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from steady import FixedClock, SeededRng

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.search import ReleaseQuery
from middleplatform.audit.verify import read_keys, verify
from middleplatform.crypto.identity import IdentityKey
from middleplatform.crypto.receipts import ReceiptFields, sign_receipt
from middleplatform.errors import AuditError, ConfigError, PolicyError, ProtocolError, SourceError
from middleplatform.model.decision import Obligation
from middleplatform.model.plan import Fragment
from middleplatform.model.query import Clause, ColumnUse, Context, QueryFacts
from middleplatform.model.request import QueryRequest, Role, Subject
from middleplatform.node.journal import NODE_EVENTS, Journal, origin

STEWARD = Subject("mei", "ga", frozenset({Role.DEPARTMENT_STEWARD}))
FACTS = QueryFacts(
    (
        ColumnUse("ga.population", "region_code", Context.GROUP, Clause.GROUP_BY),
        ColumnUse("ga.population", "*", Context.COUNT, Clause.SELECT),
    ),
    (),
    ("ga.population",),
    1,
    0,
)


@pytest.fixture
def journal(tmp_path):
    with Journal.open(
        tmp_path, "ga", "middleplatform.example", FixedClock(), SeededRng()
    ) as opened:
        yield opened


def fragment(**changes):
    made = Fragment(
        query_id="ab" * 16,
        attempt=1,
        number=0,
        department="ga",
        protocol="local",
        cohort=("ga",),
        sql='SELECT COUNT(*) AS "a0" FROM "ga"."population" AS "t0"',
        subject=Subject("lin", "drc", frozenset({Role.ANALYST})),
        purpose="statistics",
        project="drc",
        policy_digest="66" * 32,
        issued_at="2026-06-01T08:00:00+00:00",
    )
    return replace(made, **changes)


def receipt(made, cells=3):
    fields = ReceiptFields(made.query_id, made.digest(), "77" * 32, made.protocol, cells, "88" * 32)
    return fields, sign_receipt(IdentityKey.generate(SeededRng(b"ga")), fields)


def test_an_answer_is_entered_with_all_that_accounts_for_it(journal):
    made = fragment()
    fields, signed = receipt(made)
    duty = Obligation("region", "ga.population", "region_code", ("990101",), ("told", "告知"))
    index = journal.ran(made, fields, signed, sql="SELECT 1", obligations=[duty], facts=FACTS).index
    record = journal.log.entry(index).record
    assert record.event == "released"
    assert record.body == {
        "at": "2026-06-01T08:00:00+00:00",
        "node": "ga",
        "query_id": made.query_id,
        "fragment": made.digest(),
        "attempt": 1,
        "number": 0,
        "issued_at": made.issued_at,
        "subject": "lin",
        "department": "drc",
        "roles": ["analyst"],
        "regions": ["*"],
        "purpose": "statistics",
        "project": "drc",
        "protocol": "local",
        "cohort": ["ga"],
        "gateway_policy_digest": "66" * 32,
        "policy_digest": "77" * 32,
        "sql": made.sql,
        "sql_run": "SELECT 1",
        "obligations": [["region", "ga.population", "region_code", "990101"]],
        "datasets": ["ga.population"],
        "columns": ["ga.population.region_code"],
        "cells": 3,
        "result_digest": "88" * 32,
        "receipt": signed,
    }


def test_who_got_what_is_found_in_a_nodes_log(journal):
    made = fragment()
    journal.ran(made, *receipt(made), facts=FACTS)
    journal.refused(made, "X003", "R5")
    (found,) = journal.log.releases(ReleaseQuery(dataset="ga.population"))
    assert (found.subject, found.department, found.purpose) == ("lin", "drc", "statistics")
    assert found.columns == ("ga.population.region_code",)


def test_a_refusal_names_code_and_rule_and_trusts_no_unsigned_text(journal):
    known = journal.refused(fragment(), "X003", "R5", "77" * 32).index
    unknown = journal.refused(None, "X001", digest="99" * 32).index
    body = journal.log.entry(known).record.body
    assert (body["code"], body["rule"], body["fragment"]) == ("X003", "R5", fragment().digest())
    body = journal.log.entry(unknown).record.body
    assert "query_id" not in body
    assert (body["code"], body["message"]) == ("X001", "99" * 32)


def test_errors_end_as_refused_or_failed_by_who_must_act(journal):
    ends = (
        (ProtocolError("X003", rule="R2", department="ga"), "refused"),
        (SourceError("S003", department="ga", detail="990101199001011234"), "failed"),
    )
    for error, event in ends:
        record = journal.log.entry(journal.ended(fragment(), error).index).record
        assert (record.event, record.body["code"]) == (event, error.code)
        assert "9901" not in json.dumps(dict(record.body)), "a driver's words stay out"


def test_a_round_leaves_its_trace_before_masked_words_leave(journal):
    made = fragment(protocol="secure_sum", cohort=("ga", "tax"))
    record = journal.log.entry(journal.taken(made, "77" * 32).index).record
    assert (record.event, record.body["protocol"]) == ("received", "secure_sum")
    assert record.body["fragment"] == made.digest()


def test_own_questions_are_entered_without_value_count_or_digest(journal):
    request = QueryRequest(
        "cd" * 16, "SELECT COUNT(*) FROM ga.population", STEWARD, "quality", "ga", FixedClock().now()
    )  # fmt: skip
    asked = journal.own(request, "77" * 32, facts=FACTS)
    refused = journal.own(request, "77" * 32, error=PolicyError("P001", rule="R1", what="x"))
    record = journal.log.entry(asked.index).record
    assert (record.event, record.body["protocol"]) == ("released", "own")
    assert (record.body["recipient"], record.body["subject"]) == ("ga", "mei")
    assert not {"cells", "result_digest", "receipt", "fragment"} & set(record.body)
    record = journal.log.entry(refused.index).record
    assert (record.event, record.body["code"]) == ("refused", "P001")


def test_what_happens_to_the_node_is_entered_under_names_that_are_known(journal):
    for kind in sorted(NODE_EVENTS):
        entry = journal.log.entry(
            journal.event(kind, {"version": "1", "at": "x", "node": "y"}).index
        )
        assert (entry.record.event, entry.record.body["node"]) == (kind, "ga")
        assert entry.at == FixedClock().now(), "no field can put itself in the place of the time"
    with pytest.raises(ValueError, match="unknown"):
        journal.event("released", {})


def test_a_fragment_that_fits_no_entry_is_still_entered_when_refused_and_never_answered(journal):
    for unfit in (fragment(attempt=2**60), fragment(sql="x" * 2_000_000), fragment(number=0.5)):
        body = journal.log.entry(journal.refused(unfit, "X001").index).record.body
        assert body["message"] == unfit.digest()
        size = journal.log.size
        for enter in (
            lambda made=unfit: journal.ran(made, *receipt(made)),
            lambda made=unfit: journal.taken(made, "77" * 32),
        ):
            with pytest.raises(AuditError) as caught:
                enter()
            assert caught.value.code == "A001"
        assert journal.log.size == size


def test_no_entry_no_receipt(journal):
    made = fragment()
    journal.close()
    with pytest.raises(AuditError) as caught:
        journal.ran(made, *receipt(made))
    assert caught.value.code == "A001"


def test_many_threads_enter_at_once_and_each_gets_its_place(journal):
    def enter(number):
        made = fragment(number=number)
        return journal.ran(made, *receipt(made)).index, made.digest()

    with ThreadPoolExecutor(16) as pool:
        places = dict(pool.map(enter, range(200)))
    assert sorted(places) == list(range(200))
    for index, digest in places.items():
        assert journal.log.entry(index).record.body["fragment"] == digest


def test_the_log_bears_the_departments_name_and_its_export_verifies_with_the_published_key(
    tmp_path, journal
):
    made = fragment()
    journal.ran(made, *receipt(made))
    assert origin("ga", "p.example/audit") == origin("ga", "p.example") == "ga.p.example/audit"
    assert journal.log.origin == "ga.middleplatform.example/audit"
    journal.log.export(tmp_path / "export.jsonl")
    keys = read_keys(Path(tmp_path / "audit.pub").read_text())
    assert verify(tmp_path / "export.jsonl", keys) == 1
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "audit.db").stat().st_mode & 0o077 == 0


def test_a_journal_goes_on_after_a_restart_and_refuses_another_departments_state(tmp_path):
    for _ in range(2):
        with Journal.open(tmp_path, "ga", "p.example", FixedClock(), SeededRng()) as opened:
            opened.event("start", {})
    with pytest.raises(ConfigError) as caught:
        Journal.open(tmp_path, "tax", "p.example", FixedClock(), SeededRng())
    assert caught.value.code == "C006"
    signer = CheckpointSigner.load(tmp_path / "audit.key")
    with AuditLog.open(tmp_path / "audit.db", signer, FixedClock()) as log:
        assert [entry.record.event for entry in log.entries()] == ["start", "start"]
