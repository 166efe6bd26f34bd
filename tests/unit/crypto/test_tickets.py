"""A key holder opens what departments sealed and the gateway added, once, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.sealed_sum import ZeroSum, add, seal
from middleplatform.crypto.tickets import (
    SignedInput,
    Ticket,
    TicketSubject,
    issue_ticket,
    open_ticket,
    sign_input,
)
from middleplatform.crypto.used_rounds import MemoryUsedRounds, SqliteUsedRounds
from middleplatform.errors import ProtocolError

COHORT = ("a", "b", "c")
CELLS = np.arange(40) - 20


@pytest.fixture
def identities(seeded_rng):
    return {name: IdentityKey.generate(seeded_rng(name)) for name in (*COHORT, "gateway", "other")}


@pytest.fixture
def pins(identities):
    return PinnedKeys({name: key.public_key for name, key in identities.items()})


@pytest.fixture(scope="module")
def sealed(opening_key):
    pairs = {frozenset(p): bytes([at]) * 32 for at, p in enumerate(("ab", "ac", "bc"))}
    vectors = {}
    for own in COHORT:
        secrets = {each: pairs[frozenset((own, each))] for each in COHORT if each != own}
        mask = ZeroSum(own, secrets, b"round")
        vectors[own] = seal(CELLS, opening_key.public, parties=3, zero_sum=mask)
    return vectors


@pytest.fixture
def subject(opening_key):
    return TicketSubject("q-1", 1, COHORT, bytes(32), opening_key.public.key_id)


@pytest.fixture
def total(sealed):
    return add(list(sealed.values()))


@pytest.fixture
def inputs(identities, subject, sealed):
    return [sign_input(identities[name], subject, name, [sealed[name]]) for name in COHORT]


@pytest.fixture
def ticket(identities, subject, inputs, total):
    return issue_ticket(identities["gateway"], "gateway", subject, inputs, [total])


@pytest.fixture
def opened(opening_key, pins):
    """Open a ticket at a holder with a fresh record, or the one that is given."""

    def opened(ticket, totals, used=None, issuer="gateway"):
        record = MemoryUsedRounds() if used is None else used
        return open_ticket(opening_key, ticket, totals, issuer=issuer, pins=pins, used=record)

    return opened


def code_of(work):
    with pytest.raises(ProtocolError) as refusal:
        work()
    return refusal.value.code


def test_a_ticket_opens_the_total(opened, ticket, total):
    (cells,) = opened(Ticket.from_bytes(ticket.to_bytes()), [total])
    assert cells.tolist() == (3 * CELLS).tolist()


def test_inputs_may_come_in_any_order(identities, subject, inputs, total, ticket):
    shuffled = issue_ticket(identities["gateway"], "gateway", subject, inputs[::-1], [total])
    assert shuffled == ticket


def test_a_replayed_ticket_is_refused_even_after_a_restart(opened, ticket, total, tmp_path):
    path = tmp_path / "opened.sqlite"
    record = SqliteUsedRounds(path)
    opened(ticket, [total], record)
    assert code_of(lambda: opened(ticket, [total], record)) == "X002"
    record.close()
    again = SqliteUsedRounds(path)
    assert code_of(lambda: opened(ticket, [total], again)) == "X002"
    again.close()


def test_another_ticket_for_the_same_query_is_refused(
    opened, identities, subject, sealed, ticket, total
):
    record = MemoryUsedRounds()
    opened(ticket, [total], record)
    fewer = replace(subject, cohort=("a", "b"), attempt=2)
    inputs = [sign_input(identities[name], fewer, name, [sealed[name]]) for name in "ab"]
    second = issue_ticket(identities["gateway"], "gateway", fewer, inputs, [total])
    assert code_of(lambda: opened(second, [total], record)) == "X002"


def test_a_refused_ticket_is_not_recorded(opened, ticket, total, sealed):
    record = MemoryUsedRounds()
    assert code_of(lambda: opened(ticket, [sealed["a"]], record)) == "X001"
    assert opened(ticket, [total], record)


def test_what_the_ticket_does_not_name_is_not_opened(opened, opening_key, ticket, total, sealed):
    single = replace(sealed["a"], added=3)
    fresh = seal(CELLS, opening_key.public, parties=1)
    for totals in ([single], [fresh], [], [total, total]):
        assert code_of(lambda totals=totals: opened(ticket, totals)) == "X001"


def test_a_gateway_that_names_one_department_gets_noise(
    opened, identities, subject, inputs, sealed
):
    single = replace(sealed["a"], added=3)
    lie = issue_ticket(identities["gateway"], "gateway", subject, inputs, [single])
    assert code_of(lambda: opened(lie, [single])) == "X004"
    honest_header = issue_ticket(identities["gateway"], "gateway", subject, inputs, [sealed["a"]])
    assert code_of(lambda: opened(honest_header, [sealed["a"]])) == "X001"


def test_every_signature_is_needed(opened, ticket, total, inputs):
    for at in range(len(inputs)):
        bad = replace(inputs[at], signature=bytes(64))
        forged = replace(ticket, inputs=(*inputs[:at], bad, *inputs[at + 1 :]))
        assert code_of(lambda forged=forged: opened(forged, [total])) == "X001"
    assert code_of(lambda: opened(replace(ticket, signature=bytes(64)), [total])) == "X001"


def test_a_gateway_cannot_sign_for_a_department(opened, identities, subject, inputs, total, sealed):
    own = sign_input(identities["gateway"], subject, "c", [sealed["c"]])
    lie = issue_ticket(identities["gateway"], "gateway", subject, [*inputs[:2], own], [total])
    assert code_of(lambda: opened(lie, [total])) == "X001"


def test_a_signature_for_another_query_does_not_serve(
    opened, identities, subject, inputs, total, sealed
):
    for change in ({"query_id": "q-2"}, {"attempt": 2}, {"layout_hash": bytes([1]) * 32}):
        other = replace(subject, **change)
        old = sign_input(identities["c"], other, "c", [sealed["c"]])
        lie = issue_ticket(identities["gateway"], "gateway", subject, [*inputs[:2], old], [total])
        assert code_of(lambda lie=lie: opened(lie, [total])) == "X001"


def test_another_issuer_is_refused(opened, identities, subject, inputs, total, ticket):
    other = issue_ticket(identities["other"], "other", subject, inputs, [total])
    assert code_of(lambda: opened(other, [total])) == "X001"
    assert code_of(lambda: opened(ticket, [total], issuer="other")) == "X001"
    insider = issue_ticket(identities["a"], "a", subject, inputs, [total])
    assert code_of(lambda: opened(insider, [total], issuer="a")) == "X001"


def test_another_keys_words_are_neither_signed_nor_ticketed(
    make_opening_key, identities, subject, inputs, total
):
    other = replace(subject, key_id=make_opening_key("other").public.key_id)
    gateway = identities["gateway"]
    assert code_of(lambda: issue_ticket(gateway, "gateway", other, inputs, [total])) == "X001"
    assert code_of(lambda: issue_ticket(gateway, "gateway", subject, inputs, [])) == "X001"
    assert code_of(lambda: sign_input(identities["a"], other, "a", [total])) == "X001"
    assert code_of(lambda: sign_input(identities["a"], subject, "d", [total])) == "X001"


def test_a_ticket_for_another_key_is_refused(make_opening_key, ticket, total, pins):
    other, record = make_opening_key("other"), MemoryUsedRounds()
    work = lambda: open_ticket(  # noqa: E731 - one call, one line in the assertion
        other, ticket, [total], issuer="gateway", pins=pins, used=record
    )
    assert code_of(work) == "X001"


def test_inputs_are_exactly_the_cohorts(identities, subject, inputs, total):
    for wrong in (inputs[:2], [*inputs, inputs[0]], [inputs[0], inputs[0], inputs[1]]):
        work = lambda wrong=wrong: issue_ticket(  # noqa: E731 - one expression, three inputs
            identities["gateway"], "gateway", subject, wrong, [total]
        )
        assert code_of(work) == "X001"


@pytest.mark.parametrize(
    "change",
    [
        {"query_id": ""},
        {"query_id": "x" * 129},
        {"attempt": 0},
        {"attempt": 2**32},
        {"cohort": ()},
        {"cohort": ("b", "a")},
        {"cohort": ("a", "a")},
        {"cohort": ("a b",)},
        {"layout_hash": bytes(31)},
        {"key_id": "0" * 63},
    ],
)
def test_a_subject_outside_its_ranges_is_refused(subject, change):
    assert code_of(lambda: replace(subject, **change)) == "X001"


def test_bytes_come_back_and_no_others_are_taken(ticket):
    raw = ticket.to_bytes()
    assert Ticket.from_bytes(raw) == ticket
    for wrong in (raw[:-1], raw + b"\0", raw.replace(b"MPTK1", b"MPTK2"), b""):
        assert code_of(lambda wrong=wrong: Ticket.from_bytes(wrong)) == "X001"


def test_no_changed_byte_of_a_ticket_is_taken(opened, ticket, total):
    raw = ticket.to_bytes()
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1
        assert (
            code_of(lambda changed=changed: opened(Ticket.from_bytes(bytes(changed)), [total]))
            == "X001"
        )


def test_one_department_alone_gets_a_ticket_too(opened, identities, opening_key):
    subject = TicketSubject("q-9", 1, ("a",), bytes(32), opening_key.public.key_id)
    own = seal(CELLS, opening_key.public, parties=1)
    counts = seal(CELLS, opening_key.public, parties=1, slot_bytes=5)
    entry = sign_input(identities["a"], subject, "a", [own, counts])
    assert isinstance(entry, SignedInput)
    ticket = issue_ticket(identities["gateway"], "gateway", subject, [entry], [own, counts])
    assert [cells.tolist() for cells in opened(ticket, [own, counts])] == [CELLS.tolist()] * 2
