"""A gateway, or another party, that deviates from a private join gets a refusal, and the round ends."""

from dataclasses import replace
from decimal import Decimal

import made_join
import made_world as made
import numpy as np
import pytest
from judging import Judging

from middleplatform.crypto.messages import Hello
from middleplatform.errors import MiddleplatformError
from middleplatform.node.join_round import JoinRounds
from middleplatform.node.service import KEY_HOLDER
from middleplatform.wire.join_lists import GroupLists, ListHead

SUM = "SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip
BOTH = "SELECT p.region AS d0, t.district AS d1, COUNT(*) AS n FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region, t.district"  # fmt: skip


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parties")
    with made_join.Parties(folder, made_join.bundle(), rounds_max=500) as opened:
        yield opened


@pytest.fixture(scope="module")
def blinded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blinded")
    with made_join.Parties(folder, made_join.bundle("blinded")) as opened:
        yield opened


def refused(call):
    with pytest.raises(MiddleplatformError) as caught:
        call()
    return caught.value.code


def ended(join, name, code):
    """Say whether a party has forgotten a round and entered why."""
    event, body = join.parties.last(name)
    assert join.rounds[name]._rounds.content(join.key) is None
    return body["code"] == code and event in ("refused", "failed")


# --- fragments ----------------------------------------------------------------------------------------------------


def asked(parties, key="gateway", **changes):
    fragment = replace(parties.join(SUM).fragment("ga"), **changes)
    return refused(lambda: parties.rounds["ga"].join_open(*parties.signed(fragment, key)))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"policy_digest": "a" * 64}, "X003"),
        ({"department": "tax"}, "X001"),
        ({"protocol": "local"}, "X001"),
        ({"protocol": "secure_sum"}, "X001"),
        ({"cohort": ("ga", "hr", "tax")}, "X003"),
        ({"cohort": ("ga",)}, "X003"),
        ({"cohort": ("ga", "tax", "keyholder")}, "X003"),
        ({"cohort": ("tax",)}, "X001"),
        ({"attempt": 3}, "X001"),
        ({"purpose": "pleasure"}, "X003"),
        ({"issued_at": "2026-03-02T08:00:00+00:00"}, "X005"),
        ({"sql": 'SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0"'}, "X003"),
    ],
)
def test_a_fragment_that_is_not_this_nodes_to_serve_is_refused(parties, changes, code):
    assert asked(parties, **changes) == code


def test_a_fragment_that_the_gateway_did_not_sign_is_refused(parties):
    assert asked(parties, key="tax") == "X001"


def test_who_holds_no_side_takes_no_part(parties):
    join = parties.join(SUM)
    fragment = join.fragment("hr", cohort=("ga", "hr", "tax"))
    assert refused(lambda: parties.rounds["hr"].join_open(*parties.signed(fragment))) == "X003"


def test_a_department_whose_policy_forbids_joins_refuses(tmp_path):
    with made_join.Parties(tmp_path, made_join.bundle()) as parties:
        join = parties.join(SUM)
        node = parties.nodes["tax"]
        node.bundle = made.with_dataset(parties.bundle, "tax.payer", join="none")
        fragment = join.fragment("tax")
        code = refused(lambda: parties.rounds["tax"].join_open(*parties.signed(fragment)))
        assert (code, len(parties.rounds["tax"])) == ("X003", 0)


@pytest.mark.parametrize(
    ("own", "published", "judged"),
    [
        (Decimal(10), None, False), (None, Decimal(10), False), (Decimal(10), None, True),
        (None, Decimal(10), True), (Decimal(5), Decimal(10), True),
    ],
)  # fmt: skip
def test_a_sum_that_only_one_policy_caps_is_not_joined(tmp_path, own, published, judged):
    """Where largest units need not be judged, a plan without a cap would sum without one."""

    def ruled(cap, digest):
        found = made.with_column(parties.bundle, "tax.payer", "paid", cap=cap)
        for name in ("ga.person", "tax.payer"):
            rule = found.datasets[name].disclosure
            rule = replace(rule, dominance=((1, 50),) if judged else ())
            found = made.with_dataset(found, name, disclosure=rule)
        return replace(found, digest=digest)

    with made_join.Parties(tmp_path, made_join.bundle()) as parties:
        join, node = parties.join(SUM), parties.nodes["tax"]
        node.policies = Judging(ruled(own, "e" * 64), ruled(published, "d" * 64))
        fragment = join.fragment("tax", policy_digest="d" * 64)
        with pytest.raises(MiddleplatformError) as caught:
            parties.rounds["tax"].join_open(*parties.signed(fragment))
        assert caught.value.code == "X003"
        assert caught.value.rule in ("R5", "R10")
        same = Judging(ruled(Decimal(10), "e" * 64), ruled(Decimal(10), "d" * 64))
        node.policies = same
        again = parties.join(SUM).fragment("tax", policy_digest="d" * 64)
        parties.rounds["tax"].join_open(*parties.signed(again))
        assert len(parties.rounds["tax"]) == 1


def test_a_join_is_no_local_answer_and_no_secure_sum(parties):
    join = parties.join(SUM)
    for name in ("ga", KEY_HOLDER):
        node = parties.nodes[name]
        signed = parties.signed(join.fragment(name))
        assert refused(lambda node=node, signed=signed: node.answer(*signed)) == "X001"


def test_a_key_holder_answers_nothing_by_itself(parties):
    join = parties.join(SUM)
    text = 'SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0"'
    fragment = join.fragment(KEY_HOLDER, protocol="local", cohort=(KEY_HOLDER,), sql=text)
    signed = parties.signed(fragment)
    assert refused(lambda: parties.nodes[KEY_HOLDER].answer(*signed)) == "X001"


def test_a_fragment_comes_once_and_a_query_with_one_cohort(parties):
    join = parties.join(SUM).open()
    again = parties.signed(join.fragment("ga"))
    assert refused(lambda: join.rounds["ga"].join_open(*again)) == "X002"
    fewer = parties.join(SUM, key_holder=False, **{**join.changes, "attempt": 2})
    signed = parties.signed(fewer.fragment("ga"))
    assert refused(lambda: fewer.rounds["ga"].join_open(*signed)) == "X002"


def test_another_attempt_has_other_keys(parties):
    join = parties.join(SUM).open()
    second = parties.join(SUM, **{**join.changes, "attempt": 2}).open()
    keys = {Hello.from_bytes(raw).exchange_key for raw in (*join.hellos, *second.hellos)}
    assert len(keys) == 6
    assert refused(lambda: join.rounds["ga"].join_agree(join.key, second.hellos)) == "X001"


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["missing", "forged", "doubled", "other round", "stranger"])
def test_hellos_that_are_not_the_cohorts_end_the_round(parties, change):
    join, other = parties.join(SUM).open(), parties.join(PARTS).open()
    first, *rest = join.hellos
    forged = replace(Hello.from_bytes(first), exchange_key=bytes([9]) + bytes(31)).to_bytes()
    hellos = {
        "missing": rest,
        "forged": [forged, *rest],
        "doubled": [rest[0], *rest],
        "other round": [first, rest[0], other.hellos[0]],
        "stranger": [first, rest[0], other.hellos[-1]],
    }[change]
    assert refused(lambda: join.rounds["tax"].join_agree(join.key, hellos)) == "X001"
    assert ended(join, "tax", "X001")


def test_a_label_key_of_somebody_else_ends_the_round(parties):
    join = parties.join(PARTS).open().agree()
    wrong = join.sealed["c3"]
    assert refused(lambda: join.rounds["c2"].join_list(join.key, wrong)) == "X001"
    assert ended(join, "c2", "X001")
    assert refused(lambda: join.rounds["pub"].join_list(join.key, None)) == "X001"
    assert KEY_HOLDER not in join.sealed


# --- order --------------------------------------------------------------------------------------------------------


def steps(join, name):
    rounds, key = join.rounds[name], join.key
    return {
        "agree": lambda: rounds.join_agree(key, join.hellos),
        "list": lambda: rounds.join_list(key, join.sealed.get(name)),
        "rows": lambda: rounds.join_rows(key, 0),
        "points": lambda: rounds.join_points(key),
        "blind": lambda: rounds.join_blind(key, "ga", b""),
        "sums": lambda: rounds.join_sums(key, 1, b""),
        "reveal": lambda: rounds.join_reveal(key, []),
    }


@pytest.mark.parametrize(
    ("done", "early"),
    [
        ("open", "list"), ("open", "rows"), ("open", "sums"), ("open", "reveal"), ("agree", "rows"), ("agree", "sums"),
        ("agree", "reveal"), ("list", "sums"), ("list", "points"), ("rows", "points"), ("rows", "blind"),
    ],
)  # fmt: skip
def test_a_step_that_is_not_due_ends_the_round(parties, done, early):
    join = parties.join(SUM, key_holder=False).open()
    join.sealed = {}
    for step in ("agree", "lists", "parts")[: ("open", "agree", "list", "rows").index(done)]:
        getattr(join, step)()
    assert refused(steps(join, "tax")[early]) == "X001"
    assert ended(join, "tax", "X001")


@pytest.mark.parametrize("step", ["agree", "list"])
def test_a_step_that_comes_twice_ends_the_round(parties, step):
    join = parties.join(SUM).open().agree().lists()
    assert refused(steps(join, "ga")[step]) == "X002"
    assert ended(join, "ga", "X002")
    assert refused(lambda: join.rounds["ga"].join_rows(join.key, 0)) == "X001"


@pytest.mark.parametrize("step", ["list", "rows", "points", "blind"])
def test_a_key_holder_has_no_list(parties, step):
    join = parties.join(SUM).open().agree()
    assert refused(steps(join, KEY_HOLDER)[step]) == "X001"
    assert ended(join, KEY_HOLDER, "X001")


@pytest.mark.parametrize(("part", "code"), [(0, "X002"), (1, "X001"), (-1, "X002"), (7, "X001")])
def test_parts_come_once_and_in_order(parties, part, code):
    join = parties.join(SUM).ready()
    assert refused(lambda: join.rounds["ga"].join_rows(join.key, part)) == code
    assert ended(join, "ga", code)


def test_a_step_of_a_round_that_nobody_opened_is_refused(parties):
    for step in ("agree", "rows", "sums", "reveal"):
        join = parties.join(SUM)
        join.hellos, join.sealed = [], {}
        assert refused(steps(join, "ga")[step]) == "X001"


def test_rounds_are_few_and_forgotten_when_nobody_goes_on(parties):
    moment = [100.0]
    rounds = JoinRounds(parties.nodes["ga"], rounds_max=1, idle_s=5, now=lambda: moment[0])
    joins = [parties.join(SUM) for _ in range(3)]
    rounds.join_open(*parties.signed(joins[0].fragment("ga")))
    signed = parties.signed(joins[1].fragment("ga"))
    assert refused(lambda: rounds.join_open(*signed)) == "L001"
    moment[0] += 6
    rounds.join_open(*parties.signed(joins[2].fragment("ga")))
    assert len(rounds) == 1
    rounds.close()


# --- masks --------------------------------------------------------------------------------------------------------


def lists(join, side=1):
    """Return what an honest gateway would send the helper."""
    return join.groups(side, join.cells())[1]


def changed(asked, **changes):
    return replace(asked, **changes).to_bytes()


def cut(asked, first):
    """Return the groups with another first position."""
    (positions,) = asked.positions
    return (np.concatenate([[first], positions[1:]]).astype(np.uint32),)


LIES = {
    "out of range": lambda asked: changed(asked, positions=cut(asked, 10**6)),
    "twice": lambda asked: changed(asked, positions=cut(asked, asked.positions[0][-1])),
    "too small": lambda asked: changed(
        asked, starts=(np.array([0, 9, asked.positions[0].size], np.uint32),)
    ),
    "empty": lambda asked: changed(
        asked, starts=(np.array([0, 0, asked.positions[0].size], np.uint32),)
    ),
    "another owner": lambda asked: changed(asked, owners=("ga",)),
    "another side": lambda asked: changed(asked, side=0),
    "another note": lambda asked: changed(asked, notes=(bytes(28),)),
    "no groups": lambda asked: changed(
        asked, starts=(np.zeros(1, np.uint32),), positions=(np.zeros(0, np.uint32),)
    ),
    "no message": lambda asked: asked.to_bytes()[:-1],
}


@pytest.mark.parametrize("lie", LIES)
def test_groups_that_are_not_what_they_must_be_end_the_round(parties, lie):
    join = parties.join(SUM).ready()
    raw = LIES[lie](lists(join))
    if lie == "no groups":  # nothing is added up, so nothing is learned
        assert join.rounds[KEY_HOLDER].join_sums(join.key, 1, raw)
        return
    assert refused(lambda: join.rounds[KEY_HOLDER].join_sums(join.key, 1, raw)) == "X001"
    assert ended(join, KEY_HOLDER, "X001")


def test_the_masks_of_a_side_are_removed_once(parties):
    join = parties.join(SUM).ready()
    raw = lists(join).to_bytes()
    rounds = join.rounds[KEY_HOLDER]
    rounds.join_sums(join.key, 1, raw)
    assert refused(lambda: rounds.join_sums(join.key, 1, raw)) == "X002"
    assert refused(lambda: rounds.join_reveal(join.key, [])) == "X001"


@pytest.mark.parametrize("side", [0, 1, 2, -1])
def test_masks_are_removed_by_who_is_to_remove_them(parties, side):
    join = parties.join(SUM, key_holder=False).ready()
    raw = changed(lists(join), side=max(side, 0), owners=(join.plan.sides[0].departments if side == 0 else ("tax",)))  # fmt: skip
    assert refused(lambda: join.rounds["tax"].join_sums(join.key, side, raw)) == "X001"


def test_a_partner_removes_no_masks_before_its_own_list_is_sent(parties):
    join = parties.join(SUM, key_holder=False).open().agree().lists()
    join.rounds["tax"].join_rows(join.key, 0)
    raw = GroupLists(1, ("tax",), (join.heads["tax"].note,), (np.array([0, 20], np.uint32),), (np.arange(20, dtype=np.uint32),))  # fmt: skip
    assert refused(lambda: join.rounds["ga"].join_sums(join.key, 1, raw.to_bytes())) == "X001"


FAN = "SELECT i.year AS d0, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN ga.income i ON p.id = i.id GROUP BY i.year"  # fmt: skip


def test_rows_of_one_unit_are_no_group_however_many_there_are(parties):
    join = parties.join(FAN).ready()
    assert not join.plan.sides[1].unique
    tokens, codes = join.lists_of["hr"][:2]
    known = {}
    for row, token in enumerate(tokens):
        known.setdefault(token.tobytes(), []).append(row)
    several = sorted(row for found in known.values() if len(found) > 1 for row in found)[:12]
    assert len({int(codes[row]) for row in several}) > 1
    asked = lists(join)
    places = np.array(several, dtype=np.uint32)
    raw = changed(asked, starts=(np.array([0, 12], np.uint32),), positions=(places,))
    assert refused(lambda: join.rounds[KEY_HOLDER].join_sums(join.key, 1, raw)) == "X001"
    assert ended(join, KEY_HOLDER, "X001")


@pytest.mark.parametrize("marks", ["none", "changed", "of another round"])
def test_a_gateway_cannot_tell_other_marks(parties, marks):
    join, other = parties.join(FAN).ready(), parties.join(FAN).ready()
    (own,) = lists(join).marks
    told = {
        "none": (),
        "changed": (own[:-1] + bytes([own[-1] ^ 1]),),
        "of another round": lists(other).marks,
    }[marks]
    raw = changed(lists(join), marks=told)
    assert refused(lambda: join.rounds[KEY_HOLDER].join_sums(join.key, 1, raw)) == "X001"


def test_one_department_of_a_side_cannot_be_left_out(parties):
    join = parties.join(PARTS).ready()
    asked = lists(join)
    fewer = GroupLists(1, asked.owners[:2], asked.notes[:2], asked.starts[:2], asked.positions[:2])
    refusal = refused(lambda: join.rounds[KEY_HOLDER].join_sums(join.key, 1, fewer.to_bytes()))
    assert refusal == "X001"


def test_notes_of_another_round_or_owner_are_refused(parties):
    one, other = parties.join(PARTS).ready(), parties.join(PARTS).ready()
    for notes in (
        tuple(reversed(lists(one).notes)),
        tuple(other.heads[name].note for name in ("c1", "c2", "c3")),
    ):
        join = parties.join(PARTS).ready()
        raw = changed(lists(join), notes=notes)
        assert refused(lambda j=join, r=raw: j.rounds[KEY_HOLDER].join_sums(j.key, 1, r)) == "X001"


# --- labels -------------------------------------------------------------------------------------------------------


def test_labels_of_codes_that_no_row_has_are_not_revealed(parties):
    join = parties.join(BOTH).ready()
    for codes in ([b"\xff" * 16], [join.heads["tax"].codes[0]]):
        again = parties.join(BOTH).ready()
        assert refused(lambda j=again, c=codes: j.rounds["ga"].join_reveal(j.key, c)) == "X001"
        assert ended(again, "ga", "X001")
    swapped = join.heads["tax"].codes[::-1]
    assert refused(lambda: join.rounds["tax"].join_reveal(join.key, swapped)) == "X001"


def test_labels_are_not_revealed_before_all_rows_were_sent(parties):
    join = parties.join(SUM).open().agree().lists()
    codes = join.heads["ga"].codes
    assert refused(lambda: join.rounds["ga"].join_reveal(join.key, codes)) == "X001"


def test_a_label_of_too_few_units_is_not_revealed_whatever_the_gateway_says(parties):
    sql = SUM.replace("p.region", "date_trunc('month', p.born)")
    join = parties.join(sql).ready()
    counts = np.bincount(join.lists_of["ga"][1])
    few = [code for code, count in zip(join.heads["ga"].codes, counts, strict=True) if count < 10]
    assert few
    assert refused(lambda: join.rounds["ga"].join_reveal(join.key, few[:1])) == "X003"
    assert ended(join, "ga", "X003")


def test_a_key_holder_has_no_labels(parties):
    join = parties.join(SUM).ready()
    codes = join.heads["ga"].codes
    assert refused(lambda: join.rounds[KEY_HOLDER].join_reveal(join.key, codes)) == "X001"


# --- numbers and points -------------------------------------------------------------------------------------------


def test_numbers_whose_sums_do_not_fit_end_the_round(tmp_path):
    held = made_join.rows()
    held["payer"] = [(*row[:2], Decimal(9 * 10**15)) for row in held["payer"]]
    with made_join.Parties(tmp_path, made_join.bundle(), held) as parties:
        join = parties.join(SUM).open().agree()
        sealed = join.sealed.get("tax")
        assert refused(lambda: join.rounds["tax"].join_list(join.key, sealed)) == "X004"
        assert ended(join, "tax", "X004")


def test_points_come_by_once_and_only_as_their_sender_sealed_them(blinded):
    join = blinded.join(SUM).ready()
    points = join.rounds["ga"].join_points(join.key)
    assert len(points) == 16 + 32 * join.heads["ga"].rows
    join.rounds["tax"].join_blind(join.key, "ga", points)
    assert refused(lambda: join.rounds["tax"].join_blind(join.key, "ga", points)) == "X002"
    assert refused(lambda: join.rounds["ga"].join_points(join.key)) == "X002"


@pytest.mark.parametrize("lie", ["changed", "cut", "own", "other round", "stranger", "key holder"])
def test_points_of_the_gateways_choice_are_refused(blinded, lie):
    join, other = blinded.join(SUM).ready(), blinded.join(SUM).ready()
    points = join.rounds["ga"].join_points(join.key)
    owner, raw = {
        "changed": ("ga", points[:-1] + bytes([points[-1] ^ 1])),
        "cut": ("ga", points[:-32]),
        "own": ("tax", points),
        "other round": ("ga", other.rounds["ga"].join_points(other.key)),
        "stranger": ("hr", points),
        "key holder": (KEY_HOLDER, points),
    }[lie]
    assert refused(lambda: join.rounds["tax"].join_blind(join.key, owner, raw)) == "X001"
    assert ended(join, "tax", "X001")


def test_under_the_blinded_protocol_no_token_of_a_shared_key_leaves(blinded):
    join = blinded.join(SUM).open().agree().lists().parts()
    assert all(each[0].size == 0 for each in join.lists_of.values())
    assert isinstance(join.heads["ga"], ListHead)
