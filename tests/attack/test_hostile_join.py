"""A gateway that lies in a private join, with its own valid keys, against real node processes; and a department that lies.

Each table reads (name, attack, what the party says). A refusal is bare, stands in the party's log, and ends the round.
"""

import asyncio
from dataclasses import replace

import duckdb
import made_join
import numpy as np
import pytest
from made_joined import Changed, Joined

from middleplatform.crypto.messages import Hello
from middleplatform.dispatch.dispatcher import KEY_HOLDER
from middleplatform.errors import MiddleplatformError
from middleplatform.node.join_steps import JoinStep
from middleplatform.wire.join_lists import GroupSums, ListHead, Points
from tests.attack.hostile import hostile_gateway
from tests.attack.join_rounds import BANDS, TAXES, YEARS, JoinRound

DEPARTMENTS = ("ga", "health", "tax")
LEAST = 10


@pytest.fixture(scope="module")
def hostile(demo_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("joins")
    with hostile_gateway(root, demo_data, DEPARTMENTS, key_holder=True) as turned:
        yield turned


@pytest.fixture(scope="module")
def partners(demo_data, tmp_path_factory):
    with hostile_gateway(tmp_path_factory.mktemp("partners"), demo_data, ("ga", "tax")) as turned:
        yield turned


@pytest.fixture(autouse=True)
def _nothing_left_open(request):
    yield
    for name in {"hostile", "partners"} & {*request.fixturenames}:
        turned = request.getfixturevalue(name)
        while turned.rounds:
            turned.rounds.pop().drop()


def named(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


def refused(hostile, name, act, code, rule=""):
    """Refused with this code and nothing else said; and the party goes on with its work."""
    return hostile.assert_refused(name, act, code, rule, alive=lambda at: still_there(hostile, at))


def still_there(hostile, name):
    other = JoinRound(hostile, key_holder=hostile.processes.key_holder)
    if name in other.cohort:
        assert other.open(name).code == ""


# --- opening ------------------------------------------------------------------------------------------------------

BY_PERSON = TAXES.replace("p.region_code", "p.id_number")
ONE_PERSON = TAXES.replace(" GROUP BY", " WHERE p.id_number = '990101196001010014' GROUP BY")
OPENINGS = [
    ("under another policy", {"policy_digest": "0" * 64}, "X003", "R0"),
    ("without the other department", {"cohort": ("ga", KEY_HOLDER)}, "X003", "R10"),
    ("with one more department", {"cohort": ("ga", "health", KEY_HOLDER, "tax")}, "X003", "R10"),
    ("with the gateway", {"cohort": ("ga", "gateway", KEY_HOLDER, "tax")}, "X003", "R10"),
    ("a department twice", {"cohort": ("ga", "ga", KEY_HOLDER, "tax")}, "X003", "R10"),
    ("in another order", {"cohort": ("tax", KEY_HOLDER, "ga")}, "X003", "R10"),
    ("without this one", {"cohort": (KEY_HOLDER, "tax")}, "X001", ""),
    ("as a local fragment", {"protocol": "local"}, "X001", ""),
    ("as a secure sum", {"protocol": "secure_sum"}, "X001", ""),
    ("a third attempt", {"attempt": 3}, "X001", ""),
    ("no attempt", {"attempt": 0}, "X001", ""),
    ("by person", {"sql": BY_PERSON}, "X003", "R0"),
    ("about one person", {"sql": ONE_PERSON}, "X003", "R2"),
    ("for a purpose of nobody", {"purpose": "curiosity"}, "X003", "G2"),
    ("long ago", {"issued_at": "2026-01-01T00:00:00+00:00"}, "X005", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "rule"), named(OPENINGS))
def test_no_join_is_opened_but_with_its_parties_under_one_policy(hostile, changes, code, rule):
    refused(hostile, "ga", lambda: JoinRound(hostile).open("ga", **changes), code, rule)


def test_a_fragment_is_opened_once_and_no_cohort_is_changed_for_a_retry(hostile):
    opened = JoinRound(hostile).until(JoinStep.OPEN)
    refused(hostile, "ga", lambda: opened.open("ga"), "X002")
    fewer = JoinRound(hostile, key_holder=False, query_id=opened.fragment.query_id, attempt=2)
    refused(hostile, "ga", lambda: fewer.open("ga"), "X003", "R10")


def test_departments_that_know_a_key_holder_let_no_partner_take_its_place(hostile):
    refused(hostile, "ga", lambda: JoinRound(hostile, key_holder=False).open("ga"), "X003", "R10")


# --- order --------------------------------------------------------------------------------------------------------

STEPS = {
    "agree": lambda opened, name: opened.agree(name),
    "list": lambda opened, name: opened.list(name),
    "rows": lambda opened, name: opened.rows(name),
    "sums": lambda opened, name: opened.sums(name, 1, b""),
    "points": lambda opened, name: opened.points(name),
    "blind": lambda opened, name: opened.blind(name, "tax", bytes(48)),
    "reveal": lambda opened, name: opened.reveal(name),
}
ORDER = [
    ("a list before keys", "ga", JoinStep.OPEN, "list", "X001"),
    ("rows before keys", "ga", JoinStep.OPEN, "rows", "X001"),
    ("labels before keys", "ga", JoinStep.OPEN, "reveal", "X001"),
    ("sums before keys", KEY_HOLDER, JoinStep.OPEN, "sums", "X001"),
    ("keys twice", "ga", JoinStep.AGREE, "agree", "X002"),
    ("rows before a list", "ga", JoinStep.AGREE, "rows", "X001"),
    ("labels before a list", "ga", JoinStep.AGREE, "reveal", "X001"),
    ("a list twice", "ga", JoinStep.LIST, "list", "X002"),
    ("sums of a department before its rows", "ga", JoinStep.LIST, "sums", "X001"),
    ("points under the helper protocol", "ga", JoinStep.LIST, "points", "X001"),
    ("another's points under the helper protocol", "ga", JoinStep.ROWS, "blind", "X001"),
    ("a list of rows twice", "ga", JoinStep.ROWS, "rows", "X002"),
    ("a list again after its rows", "ga", JoinStep.ROWS, "list", "X002"),
    ("a key holder's list", KEY_HOLDER, JoinStep.AGREE, "list", "X001"),
    ("a key holder's rows", KEY_HOLDER, JoinStep.AGREE, "rows", "X001"),
    ("a key holder's points", KEY_HOLDER, JoinStep.AGREE, "points", "X001"),
    ("another's points at a key holder", KEY_HOLDER, JoinStep.AGREE, "blind", "X001"),
]


@pytest.mark.parametrize(("name", "done", "step", "code"), named(ORDER))
def test_a_step_out_of_order_ends_the_join_and_stands_in_the_log(hostile, name, done, step, code):
    opened = JoinRound(hostile).until(done)
    refused(hostile, name, lambda: STEPS[step](opened, name), code)
    assert opened.reveal(name).code == "X001", "it is over"


@pytest.mark.parametrize("part", [1, 2, 1 << 31])
def test_no_part_of_a_list_is_sent_that_is_not_the_next(hostile, part):
    opened = JoinRound(hostile).until(JoinStep.LIST)
    refused(hostile, "ga", lambda: opened.rows("ga", part), "X001")
    assert opened.rows("ga", 0).code == "X001"


def test_a_join_that_was_dropped_gives_nothing_more(hostile):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    asked = opened.groups(0)
    opened.drop()
    assert opened.sums(KEY_HOLDER, 0, asked).code == "X001"
    assert {opened.reveal(name).code for name in opened.cohort} == {"X001"}


# --- keys ---------------------------------------------------------------------------------------------------------


def own_hello(opened):
    """Return a hello that the gateway made and signed in a department's name."""
    good = Hello.from_bytes(opened.hellos["tax"])
    raw = replace(good, exchange_key=bytes([9]) + bytes(31)).to_bytes()
    return raw[:-64] + opened.hostile.key.sign("secure-sum message H", raw[:-64])


def told(opened, **changes):
    return list({**opened.hellos, **changes}.values())


HELLOS = [
    ("none", lambda _: []),
    ("without the key holder's", lambda opened: told(opened)[:-1]),
    ("another's in its place", lambda opened: told(opened, tax=opened.hellos["ga"])),
    ("the gateway's own key in a department's name", lambda opened: told(opened, tax=own_hello(opened))),
    ("of another join", lambda opened: told(opened, tax=JoinRound(opened.hostile).open("tax").value)),
    ("of another attempt", lambda opened: told(opened, tax=retry(opened).open("tax").value)),
    ("of a department that has no part", lambda opened: [*told(opened), JoinRound(opened.hostile, YEARS).open("health").value]),
]  # fmt: skip


def retry(opened):
    return JoinRound(opened.hostile, opened.sql, query_id=opened.fragment.query_id, attempt=2)


@pytest.mark.parametrize("change", named(HELLOS))
def test_no_key_is_agreed_over_changed_hellos(hostile, change):
    opened = JoinRound(hostile).until(JoinStep.OPEN)
    hellos = change(opened)
    refused(hostile, "ga", lambda: opened.agree("ga", hellos), "X001")


SEALED = [
    ("none", lambda _: None),
    ("of another join", lambda opened: JoinRound(opened.hostile).until(JoinStep.AGREE).sealed["tax"]),
    ("of another attempt", lambda opened: retry(opened).until(JoinStep.AGREE).sealed["tax"]),
    ("changed", lambda opened: opened.sealed["tax"][:-80] + bytes(16) + opened.sealed["tax"][-64:]),
]  # fmt: skip


@pytest.mark.parametrize("change", named(SEALED))
def test_no_list_is_made_under_another_key_than_the_leaders(hostile, change):
    opened = JoinRound(hostile).until(JoinStep.AGREE)
    sealed = change(opened)
    refused(hostile, "tax", lambda: opened.list("tax", sealed), "X001")


def test_the_label_key_is_sealed_for_departments_only(hostile):
    assert set(JoinRound(hostile).until(JoinStep.AGREE).sealed) == {"tax"}


# --- groups -------------------------------------------------------------------------------------------------------


def cut(opened, size):
    """Return one honest group but for its last row, and another of this size."""
    first, second, *_ = opened.by_code(0)
    return [first, second[:size]]


def overlapping(opened):
    """Return two groups that differ in one row: their difference would be that row."""
    (first, *_) = opened.by_code(0)
    return [first, first[:-1]]


def with_note(name):
    return lambda opened: opened.groups(0, notes=(opened.heads[name].note,))


def note_of(other):
    return lambda opened: opened.groups(0, notes=(other(opened).until(JoinStep.LIST).heads["ga"].note,))  # fmt: skip


ASKED = [
    ("a place out of range", lambda opened: opened.groups(0, [[*range(LEAST), opened.heads["ga"].rows]])),
    ("the last place there is", lambda opened: opened.groups(0, [[*range(LEAST), 2**32 - 1]])),
    ("a place twice in a group", lambda opened: opened.groups(0, [[*range(LEAST), 0]])),
    ("two groups that differ in one row", lambda opened: opened.groups(0, overlapping(opened))),
    ("the same group twice", lambda opened: opened.groups(0, opened.by_code(0)[:1] * 2)),
    ("a group of one row", lambda opened: opened.groups(0, cut(opened, 1))),
    ("a group of one row less than may be", lambda opened: opened.groups(0, cut(opened, LEAST - 1))),
    ("an empty group", lambda opened: opened.groups(0, cut(opened, 0))),
    ("of a department that has no list", lambda opened: opened.groups(0, owners=("health",))),
    ("of the other side's owner", lambda opened: opened.groups(0, owners=("tax",))),
    ("of another side", lambda opened: opened.groups(1)),
    ("with the other side's note", with_note("tax")),
    ("with a note of another join", note_of(lambda opened: JoinRound(opened.hostile))),
    ("with a note of another attempt", note_of(retry)),
    ("with a note that was changed", lambda opened: opened.groups(0, notes=(bytes(28),))),
    ("with no note", lambda opened: opened.groups(0, notes=(b"",))),
    ("what is no message", lambda opened: opened.groups(0)[:-1]),
    ("a message with more behind it", lambda opened: opened.groups(0) + bytes(4)),
    ("nothing", lambda _: b""),
]  # fmt: skip


@pytest.mark.parametrize("asked", named(ASKED))
def test_no_masks_are_removed_from_groups_that_are_not_what_they_must_be(hostile, asked):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    raw = asked(opened)
    refused(hostile, KEY_HOLDER, lambda: opened.sums(KEY_HOLDER, 0, raw), "X001")
    assert opened.sums(KEY_HOLDER, 0, opened.groups(0)).code == "X001", "it is over"


@pytest.mark.parametrize("side", [2, 63, 1 << 40])
def test_no_masks_are_removed_of_a_side_that_is_not_there(hostile, side):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    refused(hostile, KEY_HOLDER, lambda: opened.sums(KEY_HOLDER, side, opened.groups(0)), "X001")


@pytest.mark.parametrize("fewer", [0, 1])
def test_masks_of_a_side_are_removed_once_so_that_no_two_sums_can_be_subtracted(hostile, fewer):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    first = opened.by_code(0)
    again = [first[0][fewer:], *first[1:]]
    assert opened.sums(KEY_HOLDER, 0, opened.groups(0, first)).code == ""
    refused(hostile, KEY_HOLDER, lambda: opened.sums(KEY_HOLDER, 0, opened.groups(0, again)), "X002")  # fmt: skip


def test_sums_of_two_attempts_cannot_be_brought_together_by_row(hostile):
    """A limit that the specification states is the rest: sizes and equalities may tell what tokens do not."""
    first = JoinRound(hostile).until(JoinStep.ROWS)
    again = retry(first).until(JoinStep.ROWS)
    for name in first.plan.departments:
        one, two = first.lists[name], again.lists[name]
        assert not {token.tobytes() for token in one.tokens} & {token.tobytes() for token in two.tokens}  # fmt: skip
        assert not np.intersect1d(one.words, two.words).size
        assert not {*first.heads[name].codes} & {*again.heads[name].codes}
    assert first.lists["ga"].codes.tolist() != again.lists["ga"].codes.tolist()


# A person of whom a list has several rows, one a year: the helper sees places, and no persons.


def rows_of_few_persons(opened):
    """Return many rows of the fewest persons that have so many."""
    found = {}
    for row, token in enumerate(opened.lists["health"].tokens):
        found.setdefault(token.tobytes(), []).append(row)
    ranked = sorted(found.values(), key=len, reverse=True)
    chosen = [row for rows in ranked for row in rows]
    return sorted(chosen[:25])


FEW = [
    ("all rows of a few persons", lambda opened: opened.groups(1, [rows_of_few_persons(opened)])),
    ("two years in one group", lambda opened: opened.groups(1, [sorted([*opened.by_code(1)[0], *opened.by_code(1)[1]])])),
    ("without marks", lambda opened: opened.groups(1, marks=())),
    ("with marks that were changed", lambda opened: opened.groups(1, marks=(opened.heads["health"].marks[:-1] + b"\0",))),
    ("with marks of another join", lambda opened: opened.groups(1, marks=(JoinRound(opened.hostile, YEARS).until(JoinStep.LIST).heads["health"].marks,))),
    ("with a note as marks", lambda opened: opened.groups(1, marks=(opened.heads["health"].note,))),
]  # fmt: skip


@pytest.mark.parametrize("asked", named(FEW))
def test_rows_of_one_person_are_not_counted_as_several(hostile, asked):
    opened = JoinRound(hostile, YEARS).until(JoinStep.ROWS)
    raw = asked(opened)
    refused(hostile, KEY_HOLDER, lambda: opened.sums(KEY_HOLDER, 1, raw), "X001")


def cost_by_year(data):
    """Return what persons cost a year in plain rows, as a department caps it, in units of its words."""
    with duckdb.connect() as connection:
        for name in ("ga", "health"):
            connection.execute(f"ATTACH '{data / name}.duckdb' AS {name} (READ_ONLY)")
        found = connection.execute(
            "SELECT CAST(100 * SUM(LEAST(medical_cost, 40000)) AS BIGINT)"
            " FROM (SELECT DISTINCT ON (id_number, visit_year) * FROM health.encounter_year ORDER BY id_number, visit_year, medical_cost)"
            " WHERE id_number IN (SELECT id_number FROM ga.population) GROUP BY visit_year"
        )
        return sorted(total for (total,) in found.fetchall())


def test_honest_groups_of_a_list_with_several_rows_a_person_are_unmasked(hostile, demo_data):
    opened = JoinRound(hostile, YEARS).until(JoinStep.ROWS)
    said = opened.sums(KEY_HOLDER, 1, opened.groups(1))
    assert said.code == ""
    words = opened.lists["health"].words
    masks = GroupSums.from_bytes(said.value, 5, words.shape[1]).words
    groups = opened.by_code(1)
    totals = [masks[n] + words[group].sum(axis=0, dtype=np.uint64) for n, group in enumerate(groups)]  # fmt: skip
    assert sorted(int(total[0]) for total in totals) == cost_by_year(demo_data)


@pytest.mark.parametrize("owner", ["ga", "tax"])
def test_no_department_removes_the_masks_of_its_own_list(partners, owner):
    opened = JoinRound(partners, key_holder=False).until(JoinStep.ROWS)
    side = opened.plan.side_of(owner).number
    refused(partners, owner, lambda: opened.sums(owner, side, opened.groups(side)), "X001")


def test_a_partner_is_as_strict_as_a_key_holder(partners):
    for asked in (overlapping, lambda opened: cut(opened, 1)):
        opened = JoinRound(partners, key_holder=False).until(JoinStep.ROWS)
        raw = opened.groups(0, asked(opened))
        refused(partners, "tax", lambda opened=opened, raw=raw: opened.sums("tax", 0, raw), "X001")


# --- labels -------------------------------------------------------------------------------------------------------


def codes_of(opened, name="ga"):
    return opened.heads[name].codes


REVEALS = [
    ("a code that no row has", lambda _: [b"\xff" * 16]),
    ("one twice", lambda opened: [codes_of(opened)[0]] * 2),
    ("in another order", lambda opened: codes_of(opened)[::-1]),
    ("of another join", lambda opened: codes_of(JoinRound(opened.hostile).until(JoinStep.LIST))),
    ("of another attempt", lambda opened: codes_of(retry(opened).until(JoinStep.LIST))),
    ("a short one", lambda opened: [codes_of(opened)[0][:15]]),
]


@pytest.mark.parametrize("change", named(REVEALS))
def test_no_label_is_told_of_codes_that_are_not_the_lists(hostile, change):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    codes = change(opened)
    refused(hostile, "ga", lambda: opened.reveal("ga", codes), "X001")


def test_no_label_is_told_before_all_rows_were_sent(hostile):
    opened = JoinRound(hostile).until(JoinStep.LIST)
    refused(hostile, "ga", lambda: opened.reveal("ga", codes_of(opened)), "X001")


def test_a_key_holder_names_nothing(hostile):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    refused(hostile, KEY_HOLDER, lambda: opened.reveal(KEY_HOLDER, codes_of(opened)), "X001")


def test_no_label_is_told_that_fewer_rows_have_than_the_threshold(hostile):
    # In a project of its own: beside the answers above, history would refuse such bands.
    opened = JoinRound(hostile, BANDS, project="cohorts").until(JoinStep.ROWS)
    counts = np.bincount(opened.lists["ga"].codes)
    few = [code for code, count in zip(codes_of(opened), counts, strict=True) if count < LEAST]
    assert few, "the demonstration has a small group"
    refused(hostile, "ga", lambda: opened.reveal("ga", few[:1]), "X003", "R5")


def test_an_honest_end_after_all_that(hostile):
    opened = JoinRound(hostile).until(JoinStep.ROWS)
    assert opened.sums(KEY_HOLDER, 0, opened.groups(0)).code == ""
    assert opened.reveal("ga", codes_of(opened)).code == ""
    assert opened.reveal("ga").code == "X001"


# --- departments that lie, and helpers ---------------------------------------------------------------------------------

SQL = (
    "SELECT p.region AS d0, t.district AS d1, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p"
    " JOIN tax.payer t ON p.id = t.id GROUP BY p.region, t.district"
)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    with Joined(tmp_path_factory.mktemp("lying")) as opened:
        yield opened


@pytest.fixture(scope="module")
def blinded(tmp_path_factory):
    with Joined(tmp_path_factory.mktemp("blinded"), made_join.bundle("blinded")) as opened:
        yield opened


def part(change):
    """Return a link's call whose rows are others; the head is what the department said before."""

    async def changed(real, key, number):
        raw = bytearray(await real(key, number))
        return bytes(change(raw))

    return changed


def reply(change):
    async def changed(real, *arguments):
        return change(await real(*arguments))

    return changed


def head(**changes):
    return reply(lambda raw: replace(ListHead.from_bytes(raw), **changes).to_bytes())


def first_row_again(raw):
    raw[48:64] = raw[32:48]
    return raw


def wide(found):
    """Return points with 24 bytes each in the place of tokens of 16."""
    keys = Points.from_bytes(found).values
    return Points(1, np.concatenate([keys, keys[:, :8]], axis=1)).to_bytes()


def fewer(found):
    return Points(1, Points.from_bytes(found).values[:-1]).to_bytes()


def more(found):
    keys = Points.from_bytes(found).values
    return Points(1, np.concatenate([keys, keys])).to_bytes()


def all_alike(found):
    keys = Points.from_bytes(found).values.copy()
    keys[:] = keys[0]
    return Points(1, keys).to_bytes()


def low(found):
    """Return sealed points that were changed: what does not open is refused whatever it holds."""
    return found[:-1] + bytes([found[-1] ^ 1])


async def replayed(real, key, number, seen=[]):  # noqa: B006 - remembers an earlier query on purpose
    raw = await real(key, number)
    seen.append(raw)
    return seen[0]


LIES = [
    ("a shorter list than said", "tax", "join_rows", part(lambda raw: raw[: len(raw) // 2]), "X001", "rows"),
    ("a longer list than said", "tax", "join_rows", part(lambda raw: raw + raw[32:]), "X001", "rows"),
    ("no rows", "tax", "join_rows", part(lambda raw: raw[:32]), "X001", "rows"),
    ("a list of one row less by its head", "tax", "join_list", reply(lambda raw: replace(ListHead.from_bytes(raw), rows=ListHead.from_bytes(raw).rows - 1).to_bytes()), "X001", "rows"),
    ("a list in parts that it is not in", "tax", "join_list", reply(lambda raw: raw[:18] + b"\2" + raw[19:]), "X001", "lists"),
    ("two rows of one key", "tax", "join_rows", part(first_row_again), "X001", "match"),
    ("a list of the other side", "tax", "join_list", head(side=0), "X001", "lists"),
    ("second tokens that nobody asked for", "tax", "join_list", head(seconds=1), "X001", "lists"),
    ("a code twice", "tax", "join_list", reply(lambda raw: raw[:30] + raw[30:46] * 2 + raw[62:]), "X001", "lists"),
    ("the other's hello as its own", "tax", "join_open", "another", "X001", "open"),
    ("sums of one word less", KEY_HOLDER, "join_sums", reply(lambda raw: raw[:-8]), "X001", "sums"),
    ("sums that are no sums", KEY_HOLDER, "join_sums", reply(lambda _: b""), "X001", "sums"),
    ("no labels", "tax", "join_reveal", reply(lambda said: (said[0][:-80], said[1])), "X001", "labels"),
    ("another's receipt", "tax", "join_reveal", "another", "X001", "labels"),
]  # fmt: skip


def another(joined, call):
    """Return a call that answers as another department did in the same round."""
    said, heard = {}, asyncio.Event()

    async def of_ga(real, *arguments):
        said["ga"] = await real(*arguments)
        heard.set()
        return said["ga"]

    async def of_tax(real, *arguments):
        own = await real(*arguments)
        await heard.wait()
        return said["ga"] if isinstance(own, bytes) else (own[0], said["ga"][1])

    return Changed(joined.links["ga"], call, of_ga), Changed(joined.links["tax"], call, of_tax)


def ends(joined, code, phase, sql=SQL):
    """The query ends with one code; the log names the phase; nothing is released, and no party holds a round."""
    before = len(list(joined.audit.entries()))
    try:
        with pytest.raises(MiddleplatformError) as caught:
            joined.ask(sql)
    finally:
        joined.use()
    assert caught.value.code == code
    assert caught.value.detail.startswith(f"private join, phase {phase}: ")
    events = [each.record.event for each in list(joined.audit.entries())[before:]]
    assert events == ["received", "failed"]
    assert joined.under_way() == 0


@pytest.mark.parametrize(("who", "call", "lie", "code", "phase"), named(LIES))
def test_a_lie_ends_the_question_in_one_code_and_releases_nothing(joined, who, call, lie, code, phase):  # fmt: skip
    if lie == "another":
        ga, tax = another(joined, call)
        joined.use(ga=ga, tax=tax)
    else:
        joined.use(**{who: Changed(joined.links[who], call, lie)})
    ends(joined, code, phase)


POINTS = [
    ("points that were changed", "join_points", low, "X001"),
    ("no points", "join_points", lambda _: b"", "X001"),
    ("half of the points", "join_points", lambda raw: raw[: len(raw) // 2], "X001"),
    ("tokens of another size", "join_blind", wide, "X001"),
    ("one token less", "join_blind", fewer, "X001"),
    ("more tokens than rows", "join_blind", more, "X001"),
    ("one token for all", "join_blind", all_alike, "X001"),
]


@pytest.mark.parametrize(("call", "change", "code"), named(POINTS))
def test_a_lie_about_points_ends_the_question(blinded, call, change, code):
    # ``ga`` is the last on the way of the list of ``tax``, and ``tax`` has points of its own.
    who = "tax" if call == "join_points" else "ga"
    blinded.use(**{who: Changed(blinded.links[who], call, reply(change))})
    phase = "match" if change is all_alike else "rows"
    ends(blinded, code, phase)


def test_tokens_of_an_earlier_query_match_nothing(joined):
    """A department that plays back an earlier list gains nothing: no token is equal to one of this query."""
    joined.use(tax=Changed(joined.links["tax"], "join_rows", replayed))
    try:
        assert joined.ask(SQL).release.table.num_rows == 6
        again = joined.ask(SQL)
    finally:
        joined.use()
    assert again.release.table.num_rows == 0
    assert joined.under_way() == 0


def test_a_part_of_an_earlier_query_is_told_by_nothing_but_its_tokens(joined):
    """What the test before this one relies on: parts of two queries have one shape, and share no row."""
    heard = []

    async def hear(real, key, number):
        raw = await real(key, number)
        heard.append(raw)
        return raw

    joined.use(tax=Changed(joined.links["tax"], "join_rows", hear))
    try:
        joined.ask(SQL)
        joined.ask(SQL)
    finally:
        joined.use()
    one, two = heard
    assert len(one) == len(two)
    count = int(np.frombuffer(one[12:16], "<u4")[0])
    tokens = [{raw[32 + 16 * at : 48 + 16 * at] for at in range(count)} for raw in (one, two)]
    assert not tokens[0] & tokens[1]
