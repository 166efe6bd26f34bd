"""Is a private join through the gateway the pooled answer, and does every fault end it in one code, with nothing left?"""

import asyncio
from dataclasses import replace

import made_join
import made_world as made
import numpy as np
import pytest
from made_joined import Changed, Joined, rows, with_least

from middleplatform.dispatch.link import InProcessLink
from middleplatform.errors import MiddleplatformError, SourceError
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.service import KEY_HOLDER
from middleplatform.wire.join_lists import GroupLists, GroupSums, ListHead

PEOPLE = "FROM ga.person p JOIN tax.payer t ON p.id = t.id"
TWO = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 {PEOPLE} GROUP BY p.region"
BOTH = f"SELECT p.region AS d0, t.district AS d1, COUNT(*) AS n, SUM(t.paid) AS a0, SUM(p.education) AS a1 {PEOPLE} GROUP BY p.region, t.district"  # fmt: skip
SPREAD = f"SELECT p.sex AS d0, COUNT(*) AS n, AVG(p.education) AS a0, VAR_SAMP(p.education) AS a1, STDDEV_POP(p.education) AS a2 {PEOPLE} GROUP BY p.sex"  # fmt: skip
WHERE = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 {PEOPLE} WHERE p.sex = '1' AND t.district = '东' GROUP BY p.region"  # fmt: skip
WHOLE = f"SELECT COUNT(*) AS n, SUM(p.education) AS a0 {PEOPLE}"
ANTI = "SELECT p.region AS d0, COUNT(*) AS n, SUM(p.education) AS a0 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id WHERE t.id IS NULL GROUP BY p.region"  # fmt: skip
OUTER = "SELECT p.sex AS d0, t.district AS d1, COUNT(*) AS n, SUM(p.education) AS a0 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id GROUP BY p.sex, t.district"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip
THREE = "SELECT t.district AS d0, p.sex AS d1, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id JOIN ga.income i ON i.id = p.id WHERE i.year IN (2022, 2023) GROUP BY t.district, p.sex"  # fmt: skip
HOUSES = f"SELECT p.region AS d0, COUNT(DISTINCT p.household) AS n {PEOPLE} GROUP BY p.region"
FEW = f"SELECT p.region AS d0, COUNT(*) AS n {PEOPLE} WHERE p.birth_year < 1951 AND p.sex = '1' GROUP BY p.region"  # fmt: skip


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("pooled"), made_join.rows()) as world:
        yield world


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    with Joined(tmp_path_factory.mktemp("joined")) as opened:
        yield opened


@pytest.fixture
def afresh(joined):
    yield joined
    joined.use()


def expected(pooled, sql, least=10):
    """Return the pooled rows with at least ``least`` persons."""
    names = sql.count(" AS d")
    counted = sql.replace("COUNT(*) AS n", "COUNT(DISTINCT p.id) AS n") if "income" in sql else sql
    units = {row[:names]: row[names] for row in pooled.plain(counted)}
    kept = [row for row in pooled.plain(sql) if units[row[:names]] >= least]
    return sorted((tuple(map(plainly, row)) for row in kept), key=repr)


def plainly(value):
    """Return numbers as they compare: floats to twelve digits."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    return value if value is None or isinstance(value, str) else float(value)


def seen(answer):
    return sorted((tuple(map(plainly, row)) for row in rows(answer)), key=repr)


def shown(answer, whole):
    """Return ``whole`` without the values that the answer withholds; fails where all are."""
    marked = {mark for column in answer.release.marks.columns for mark in column.to_pylist()}
    found = seen(answer)
    assert all(sum(value is not None for value in row) > 1 for row in found), "nothing to compare"
    if marked == {None}:
        return whole
    pairs = zip(found, whole, strict=True)
    return [
        tuple(right if left is not None else None for left, right in zip(row, other, strict=True))
        for row, other in pairs
    ]


QUESTIONS = {
    "two": TWO, "labels of both": BOTH, "variance": SPREAD, "filters": WHERE, "no groups": WHOLE, "anti": ANTI, "outer": OUTER,
    "a table in parts": PARTS, "three": THREE, "second unit": HOUSES,
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_the_pooled_one(joined, pooled, question):
    answer = joined.ask(QUESTIONS[question])
    assert answer.protocol == "private_join"
    assert seen(answer) == shown(answer, expected(pooled, QUESTIONS[question]))
    assert joined.under_way() == 0


@pytest.mark.parametrize("question", ["two", "labels of both", "a table in parts", "three"])
def test_without_a_key_holder_a_partner_removes_the_masks(afresh, pooled, question):
    afresh.use(**{KEY_HOLDER: None})
    answer = afresh.ask(QUESTIONS[question])
    assert seen(answer) == shown(answer, expected(pooled, QUESTIONS[question]))


@pytest.fixture(scope="module")
def blinded(tmp_path_factory):
    with Joined(tmp_path_factory.mktemp("blinded"), made_join.bundle("blinded")) as opened:
        yield opened


@pytest.mark.parametrize("question", ["two", "outer", "a table in parts", "three"])
def test_blinded_tokens_give_the_same_answer(blinded, pooled, question):
    answer = blinded.ask(QUESTIONS[question])
    assert seen(answer) == shown(answer, expected(pooled, QUESTIONS[question]))


def test_the_log_has_a_receipt_of_every_party(joined):
    joined.ask(TWO)
    entry = list(joined.audit.entries())[-1].record
    (fragment,) = entry.body["fragments"]
    assert (entry.event, fragment["protocol"]) == ("released", "private_join")
    assert set(fragment["receipts"]) == {"ga", "tax", KEY_HOLDER}


def test_progress_tells_phases_and_sides(joined):
    told = []
    joined.ask(TWO, lambda *said: told.append(said))
    stages = [stage for stage, _, _ in told if stage.startswith("join: ")]
    assert list(dict.fromkeys(stages)) == [
        "join: open", "join: lists", "join: rows", "join: rows received", "join: match", "join: sums",
        "join: sides added up", "join: labels",
    ]  # fmt: skip


# --- too few ----------------------------------------------------------------------------------------------------------


def test_a_side_of_too_few_units_withholds_the_whole_block(joined):
    answer = joined.ask(FEW)
    assert rows(answer) == []
    assert [(each.reason, each.cells) for each in answer.release.withheld] == [("threshold", 1)]
    whole = joined.ask(FEW.replace("p.region AS d0, ", "").replace(" GROUP BY p.region", ""))
    assert rows(whole) == [(None,)]
    assert whole.release.marks.to_pylist() == [{"n": "threshold"}]
    assert joined.under_way() == 0


def test_cells_of_too_few_units_are_withheld_and_no_helper_is_asked_about_them(tmp_path, pooled):
    with Joined(tmp_path, with_least(50)) as joined:
        asked = []

        async def sums(real, key, side, raw):
            asked.append(GroupLists.from_bytes(raw))
            return await real(key, side, raw)

        joined.use(**{KEY_HOLDER: Changed(joined.links[KEY_HOLDER], "join_sums", sums)})
        answer = joined.ask(TWO)
        assert seen(answer) == expected(pooled, TWO, 50)
        passed, cells = len(rows(answer)), len(pooled.plain(TWO))
        assert 0 < passed < cells
        assert [each.groups for each in asked] == [passed]
        assert all(np.diff(each.starts[0]).min() >= 50 for each in asked)
        assert answer.release.withheld[0].cells == 2 * (cells - passed)


def test_where_no_group_is_shown_the_question_without_groups_is_proposed_and_answered(tmp_path, pooled):  # fmt: skip
    with Joined(tmp_path, with_least(80)) as joined:
        answer = joined.ask(TWO)
        assert rows(answer) == []
        english, chinese = answer.release.notes[-1]
        proposed = english.partition(": ")[2]
        assert proposed
        assert proposed in chinese
        (found,) = rows(joined.ask(proposed))
        assert [plainly(value) for value in found] == list(
            map(plainly, pooled.plain(f"SELECT COUNT(*), SUM(t.paid) {PEOPLE}")[0])
        )
    with Joined(tmp_path / "some", with_least(50)) as joined:
        assert not any("Every group" in english for english, _ in joined.ask(TWO).release.notes)


# --- faults -----------------------------------------------------------------------------------------------------------


def head(**changes):
    async def change(real, *arguments):
        return replace(ListHead.from_bytes(await real(*arguments)), **changes).to_bytes()

    return change


def message(change):
    async def changed(real, *arguments):
        return change(await real(*arguments))

    return changed


async def missing(*_):
    raise SourceError("S001", department="tax")


async def late(*_):
    raise SourceError("S002", department="tax")


def sums_of(change):
    def changed(raw):
        groups, width = np.frombuffer(raw[8:12], "<u4")[0], np.frombuffer(raw[12:14], "<u2")[0]
        found = GroupSums.from_bytes(raw, int(groups), int(width))
        return change(found).to_bytes()

    return message(changed)


def noise(found):
    return GroupSums(found.side, found.words ^ np.uint64(0x5A5A_5A5A_5A5A_5A5A))


async def other_part(real, key, part):
    return await real(key, part + 1)


def twice(raw):
    """Return a list part whose rows all have the first one's token."""
    count = int(np.frombuffer(raw[12:16], "<u4")[0])
    made_up = bytearray(raw)
    first = bytes(raw[32:48])
    made_up[32 : 32 + 16 * count] = first * count
    return bytes(made_up)


# name: (who, call, what becomes of it, code, phase)
FAULTS = {
    "missing at the start": ("tax", "join_open", missing, "S001", "open"),
    "missing when lists are made": ("tax", "join_list", missing, "S001", "lists"),
    "missing with its rows": ("tax", "join_rows", missing, "S001", "rows"),
    "missing with the masks": (KEY_HOLDER, "join_sums", missing, "S001", "sums"),
    "missing with the labels": ("ga", "join_reveal", missing, "S001", "labels"),
    "late": ("tax", "join_list", late, "S002", "lists"),
    "no hello": ("tax", "join_open", message(lambda _: b""), "X001", "open"),
    "a head that is none": ("tax", "join_list", message(lambda raw: raw[:-1]), "X001", "lists"),
    "a head of another side": ("tax", "join_list", head(side=0), "X001", "lists"),
    "a head of another width": ("tax", "join_list", head(width=1), "X001", "lists"),
    "fewer rows than it has": ("tax", "join_list", head(rows=5), "X001", "rows"),
    "more rows than it has": ("tax", "join_list", head(rows=999), "X001", "rows"),
    "a label for rows without a match": ("ga", "join_list", head(missing=b"m" * 16), "X001", "rows"),
    "a part that is none": ("tax", "join_rows", message(lambda raw: raw + b"x"), "X001", "rows"),
    "a part that is not there": ("tax", "join_rows", other_part, "X001", "rows"),
    "one key on every row": ("tax", "join_rows", message(twice), "X001", "match"),
    "sums of fewer groups": (KEY_HOLDER, "join_sums", sums_of(lambda found: GroupSums(found.side, found.words[1:])), "X001", "sums"),
    "sums of other words": (KEY_HOLDER, "join_sums", sums_of(lambda found: GroupSums(found.side, found.words[:, 1:])), "X001", "sums"),
    "sums of another side": (KEY_HOLDER, "join_sums", sums_of(lambda found: GroupSums(0, found.words)), "X001", "sums"),
    "sums that are noise": (KEY_HOLDER, "join_sums", sums_of(noise), "X001", "sums"),
    "labels that are none": ("ga", "join_reveal", message(lambda found: (b"", found[1])), "X001", "labels"),
    "a label changed on the way": ("ga", "join_reveal", message(lambda found: (found[0].replace(b"990101", b"990109"), found[1])), "X001", "labels"),
    "no receipt": ("tax", "join_reveal", message(lambda found: (found[0], "")), "X001", "labels"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_question_in_one_code_and_leaves_nothing(afresh, fault):
    who, call, change, code, phase = FAULTS[fault]
    afresh.use(**{who: Changed(afresh.links[who], call, change)})
    with pytest.raises(MiddleplatformError) as caught:
        afresh.ask(TWO)
    assert caught.value.code == code
    assert caught.value.detail.startswith(f"private join, phase {phase}: ")
    assert afresh.under_way() == 0
    record = list(afresh.audit.entries())[-1].record
    assert (record.event, record.body["code"]) == ("failed", code)


def test_a_party_that_is_not_there_at_all_ends_the_question(afresh):
    afresh.use(tax=None)
    with pytest.raises(SourceError) as caught:
        afresh.ask(TWO)
    assert caught.value.code == "S001"
    assert afresh.under_way() == 0


@pytest.mark.parametrize("call", ["join_open", "join_list", "join_rows", "join_reveal"])
def test_a_party_that_comes_back_is_asked_once_more_with_fresh_keys(afresh, pooled, call):
    failed, tokens = [], []

    async def once(real, *arguments):
        if not failed:
            failed.append(call)
            raise SourceError("S001", department="tax")
        return await real(*arguments)

    async def heard(real, *arguments):
        raw = await real(*arguments)
        tokens.append(raw[32:48])
        return raw

    afresh.use(tax=Changed(afresh.links["tax"], call, once), ga=Changed(afresh.links["ga"], "join_rows", heard))  # fmt: skip
    assert seen(afresh.ask(TWO)) == expected(pooled, TWO)
    assert len(set(tokens)) == len(tokens)
    assert afresh.under_way() == 0


class Deaf:
    """Rounds that hear every call and do not answer for long."""

    def __getattr__(self, name):
        def wait(*_):
            asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 2))

        return wait


def test_a_party_that_never_answers_is_late(tmp_path):
    with Joined(tmp_path) as joined:
        node = joined.parties.nodes["tax"]
        joined.use(tax=InProcessLink(node, SecureRounds(node), 0.2, Deaf()))
        with pytest.raises(SourceError) as caught:
            joined.ask(TWO)
        assert (caught.value.code, caught.value.parts["department"]) == ("S002", "tax")
        assert joined.under_way() == 0


def test_a_question_that_is_given_up_leaves_no_round(afresh):
    reached = asyncio.Event()

    async def silent(*_):
        reached.set()
        await asyncio.Event().wait()

    async def give_up():
        request = afresh.gateway.request(TWO, made.ANALYST, "statistics")
        asked = asyncio.ensure_future(afresh.gateway.submit(request))
        await reached.wait()
        assert afresh.under_way() == 3
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    afresh.use(tax=Changed(afresh.links["tax"], "join_list", silent))
    made.wait(give_up())
    assert afresh.under_way() == 0


@pytest.mark.parametrize(("limit", "code"), [("cells_max", "L002"), ("join_rows_max", "L005")])
def test_more_than_policy_allows_is_refused(tmp_path, limit, code):
    bundle = made_join.bundle()
    small = replace(bundle, limits=replace(bundle.limits, **{limit: 2}))
    with Joined(tmp_path, small) as joined, pytest.raises(MiddleplatformError) as caught:
        joined.ask(TWO)
    assert caught.value.code == code
