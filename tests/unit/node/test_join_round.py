"""Private joins between nodes, driven step by step: totals are the pooled ones, labels are of surviving cells."""

import time
from decimal import Decimal
from threading import Event

import made_join
import made_world as made
import pytest

from middleplatform.crypto.messages import LabelList
from middleplatform.crypto.receipts import verify_receipt
from middleplatform.errors import LimitError, ProtocolError
from middleplatform.node.service import KEY_HOLDER

TWO = "SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"  # fmt: skip
FILTERED = "SELECT t.district AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id WHERE p.sex = '1' AND t.district = '东' GROUP BY t.district"  # fmt: skip
OUTER = "SELECT p.sex AS d0, t.district AS d1, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id GROUP BY p.sex, t.district"  # fmt: skip
ANTI = "SELECT p.region AS d0, COUNT(*) AS n, SUM(p.education) AS a0 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id WHERE t.id IS NULL GROUP BY p.region"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip
THREE = "SELECT t.district AS d0, p.sex AS d1, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id JOIN ga.income i ON i.id = p.id WHERE i.year IN (2022, 2023) GROUP BY t.district, p.sex"  # fmt: skip
FAN = "SELECT i.year AS d0, p.region AS d1, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN ga.income i ON p.id = i.id GROUP BY i.year, p.region"  # fmt: skip
WHOLE = (
    "SELECT COUNT(*) AS n, SUM(p.education) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id"
)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("pooled"), made_join.rows()) as world:
        yield world


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    with made_join.Parties(tmp_path_factory.mktemp("parties"), made_join.bundle()) as opened:
        yield opened


@pytest.fixture(scope="module")
def blinded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blinded")
    with made_join.Parties(folder, made_join.bundle("blinded")) as opened:
        yield opened


def answer(join):
    """Return (labels, total of the sum) of every cell that shows."""
    cells = join.cells()
    totals = join.totals(cells)
    labels, receipts = join.labels(cells)
    scale = join.layout.sums[0].scale
    found = sorted(
        (*labels[key], Decimal(int(totals[key].get("sum_0", 0))).scaleb(-scale)) for key in cells
    )
    return found, receipts


def expected(pooled, sql, join):
    """Return the same from the pooled rows; cells of too few people left out."""
    counted = sql.replace("COUNT(*)", "COUNT(DISTINCT p.id)") if "income" in sql else sql
    names = len(join.cell.dimensions)
    return sorted(
        (*row[:names], Decimal(row[names + 1] or 0))
        for row in pooled.plain(counted)
        if row[names] >= join.plan.min_units
    )


@pytest.mark.parametrize("key_holder", [True, False])
@pytest.mark.parametrize("sql", [TWO, FILTERED, ANTI, PARTS, THREE, FAN, WHOLE])
def test_totals_and_labels_are_the_pooled_ones(parties, pooled, sql, key_holder):
    join = parties.join(sql, key_holder=key_holder).ready()
    found, receipts = answer(join)
    assert found
    assert found == expected(pooled, sql, join)
    assert set(receipts) == set(join.cohort)
    assert all(len(rounds) == 0 for rounds in join.rounds.values())


class WaitingReader:
    """Reads until nobody waits; nothing else ends it."""

    def __init__(self):
        self.begun, self.ended = Event(), Event()

    def first(self, task, side, source):
        del task, side
        self.begun.set()
        deadline = time.monotonic() + 60
        while not source.limits.stop.is_set() and time.monotonic() < deadline:
            self.begun.wait(0.001)
        self.ended.set()
        raise LimitError("L003")


@pytest.mark.parametrize("end", ["dropped", "a step out of order", "idle", "left"])
def test_a_side_is_read_from_the_opening_on_and_no_longer_than_the_round(tmp_path, end):
    with made_join.Parties(tmp_path, made_join.bundle(), idle_s=0.2) as parties:
        rounds, reader = parties.rounds["ga"], WaitingReader()
        rounds._reader = reader
        join = parties.join(TWO).open()
        assert reader.begun.wait(60)
        assert not reader.ended.is_set()
        if end == "dropped":
            rounds.drop(join.key)
        elif end == "a step out of order":
            with pytest.raises(ProtocolError):
                rounds.join_sums(join.key, 0, b"")
        elif end == "left":
            join.agree()
            left = Event()
            left.set()
            with pytest.raises(LimitError):
                rounds.join_list(join.key, join.sealed.get("ga"), left)
        assert reader.ended.wait(60)
        assert len(rounds) == 0


def test_rows_without_a_match_have_the_label_of_missing_values(parties, pooled):
    join = parties.join(OUTER).ready()
    cells = join.cells()
    join.totals(cells)
    labels, _ = join.labels(cells)
    found = {labels[key]: len(rows) for key, rows in cells.items()}
    assert found == {row[:2]: row[2] for row in pooled.plain(OUTER) if row[2] >= 10}
    assert {label[1] for label in found} == {"东", "西", None}


@pytest.mark.parametrize("sql", [TWO, THREE, PARTS])
def test_blinded_tokens_match_the_same_rows(blinded, pooled, sql):
    join = blinded.join(sql).ready().blind()
    assert all(each[0].shape[1] == 16 for each in join.lists_of.values())
    found, _ = answer(join)
    assert found == expected(pooled, sql, join)


def test_receipts_say_what_was_served_and_the_log_has_them(parties):
    join = parties.join(TWO).ready()
    cells = join.cells()
    _, receipts = join.labels(cells)
    for name, receipt in receipts.items():
        fields = verify_receipt(receipt, name, parties.pins)
        assert fields.protocol == "private_join"
        assert fields.fragment_digest == join.fragment(name).digest()
        event, body = parties.last(name)
        assert (event, body["receipt"]) == ("released", receipt)
    assert verify_receipt(receipts[KEY_HOLDER], KEY_HOLDER, parties.pins).cells == 0


def test_a_party_that_takes_part_has_an_entry_before_anything_leaves(parties):
    join = parties.join(TWO).open()
    for name in join.cohort:
        event, body = parties.last(name)
        assert (event, body["query_id"]) == ("received", join.changes["query_id"])
        parties.rounds[name].drop(join.key)
        event, body = parties.last(name)
        assert (event, body["code"]) == ("failed", "L003")


def test_two_rounds_of_one_question_have_no_token_code_or_masked_word_in_common(parties):
    one, other = (parties.join(TWO).ready() for _ in range(2))
    for name in one.plan.departments:
        for mine, theirs in zip(one.lists_of[name][:3], other.lists_of[name][:3], strict=True):
            if mine.size and mine.ndim > 1:
                assert not {row.tobytes() for row in mine} & {row.tobytes() for row in theirs}
        assert not set(one.heads[name].codes) & set(other.heads[name].codes)
        assert one.heads[name].rows == other.heads[name].rows


def test_a_side_of_too_few_units_sends_nothing_and_ends_in_receipts(parties):
    sql = TWO.replace("GROUP BY", "WHERE p.birth_year < 1951 AND p.sex = '1' GROUP BY")
    join = parties.join(sql).open().agree().lists()
    assert join.heads["ga"].short
    assert (join.heads["ga"].rows, join.heads["ga"].parts, join.heads["ga"].codes) == (0, 0, ())
    assert not join.heads["tax"].short
    for name in join.cohort:
        raw, receipt = join.rounds[name].join_reveal(join.key, [])
        assert receipt
        assert LabelList.from_bytes(raw).labels == ()
