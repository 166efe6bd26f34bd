"""Is evidence from totals what the rules need: largest units never understated, impossible totals refused?"""

from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import made_join
import made_world as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_joined import Joined, rows

from middleplatform.errors import ProtocolError
from middleplatform.gateway.join_evidence import JoinTotals, evidence_of
from middleplatform.planner.side_words import rungs

CAP = 1000
SQL = "SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"  # fmt: skip


def capped(**changes):
    """Return a bundle with a cap on every measure, and the rules that look at the largest units."""
    told = made_join.bundle(dominance=((1, 50), (2, 67)), p_percent=10, **changes)
    datasets = {}
    for name, rule in told.datasets.items():
        columns = {column: replace(each, cap=Decimal(CAP)) for column, each in rule.columns.items()}
        datasets[name] = replace(rule, columns=MappingProxyType(columns))
    return replace(told, datasets=datasets)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Return the block of ``SQL`` under caps."""
    with Joined(tmp_path_factory.mktemp("planned"), capped()) as joined:
        gateway = joined.gateway
        request = gateway.request(SQL, made.ANALYST, "statistics")
        query, decision = gateway._judge(request)
        (block,) = gateway._made(request, query, decision).blocks
        return block


def totals_of(values, cells):
    """Return the totals that honest lists with these values give: one list row each, some missing."""
    amounts = [0 if value is None else int(value) for value in values]
    there = np.array([value is not None for value in values], dtype=np.int64)
    own = np.array(amounts, dtype=object)
    words = {"rows_1": there, "units_1": there, "full_1": there, "sum_0": own, "abs_0": abs(own)}
    for number, least in enumerate(rungs(CAP * 100)):
        words[f"rung_0_{number}"] = (abs(own) > least).astype(np.int64)
    where = np.array(cells)
    count = int(where.max()) + 1
    summed = {
        name: np.array([each[where == cell].sum() for cell in range(count)], dtype=object)
        for name, each in words.items()
    }
    tuples = np.bincount(where, minlength=count)
    return JoinTotals(tuples, [tuples, tuples], [], [], summed)


AMOUNT = st.none() | st.integers(-CAP * 100, CAP * 100)


@given(st.lists(st.tuples(AMOUNT, st.integers(0, 2)), min_size=1, max_size=30))
def test_the_three_largest_are_bounded_from_above_and_by_the_next_rung(planned, listed):
    values, cells = zip(*listed, strict=True)
    found = evidence_of(planned.join, planned.layout, totals_of(values, cells))
    ladder = rungs(CAP * 100)
    for cell in range(max(cells) + 1):
        own = [abs(value or 0) for value, at in zip(values, cells, strict=True) if at == cell]
        largest = sorted([*own, 0, 0, 0], reverse=True)[:3]
        tops = found.magnitudes[0].top[cell]
        assert all(top >= value for top, value in zip(tops, largest, strict=True))
        assert all(top <= max(ladder[-1], -(-value * 5 // 4) + 2) for top, value in zip(tops, largest, strict=True))  # fmt: skip
        assert found.magnitudes[0].absolute[cell] == sum(own)
        assert found.units[cell].tolist() == [len(own), sum(value is not None for value, at in zip(values, cells, strict=True) if at == cell)]  # fmt: skip


HONEST = ([500, 100, None, 7], [0, 0, 0, 0])
LIES = {
    "more units than tuples": ("units_1", 5),
    "fewer rows than units": ("rows_1", 2),
    "a count below nothing": ("rows_1", -1),
    "more whole units than units": ("full_1", 4),
    "a sum beyond all caps": ("sum_0", 4 * CAP * 100 + 1),
    "a sum beyond its absolute values": ("sum_0", 608),
    "fewer units above a lower rung": ("rung_0_11", 0),
    "more units above a rung than there are": ("rung_0_11", 9),
}


@pytest.mark.parametrize("lie", LIES)
def test_totals_that_no_lists_have_are_refused(planned, lie):
    values = [CAP * 100, 100, None, 7] if "rung" in lie else HONEST[0]
    honest = totals_of(values, HONEST[1])
    evidence_of(planned.join, planned.layout, honest)
    name, value = LIES[lie]
    words = {**honest.words, name: np.array([value], dtype=object)}
    with pytest.raises(ProtocolError) as caught:
        evidence_of(planned.join, planned.layout, replace(honest, words=words))
    assert caught.value.code == "X001"


def test_without_a_ladder_nobody_is_taken_to_be_small(planned):
    honest = totals_of(*HONEST)
    words = {name: each for name, each in honest.words.items() if not name.startswith("rung")}
    found = evidence_of(planned.join, planned.layout, replace(honest, words=words))
    assert found.magnitudes[0].top.tolist() == [[607, 607, 607]]


# --- through the gateway ----------------------------------------------------------------------------------------------


def held(rich):
    """Return the made rows, where one person of each region pays ``rich``."""
    found = made_join.rows()
    first = {}
    for row in found["person"]:
        first.setdefault(row[3], row[0])
    chosen = set(first.values())
    payers = [row for row in found["payer"] if row[0] not in chosen]
    found["payer"] = payers + [(key, "东", Decimal(rich)) for key in sorted(chosen)]
    return found


def paid(joined):
    return {row[0]: row[2] for row in rows(joined.ask(SQL))}


def test_a_cell_that_one_unit_dominates_is_withheld_and_the_cap_bounds_what_it_adds(tmp_path):
    few = {"min_units": 3}
    with Joined(tmp_path / "even", capped(), held(400)) as joined:
        assert all(value is not None for value in paid(joined).values())
    poor = held(CAP)
    poor["payer"] = [(key, where, min(amount, Decimal(9)) if amount != CAP else amount) for key, where, amount in poor["payer"]]  # fmt: skip
    with Joined(tmp_path / "rich", capped(**few), poor) as joined:
        answer = joined.ask(SQL)
        assert {row[2] for row in rows(answer)} == {None}
        assert set(answer.release.marks["a0"].to_pylist()) == {"dominance"}
    with Joined(tmp_path / "usual", capped(), held(400)) as usual, Joined(tmp_path / "far", capped(), held(CAP * 50)) as far:  # fmt: skip
        assert paid(far) == {region: value + CAP - 400 for region, value in paid(usual).items()}
        assert any("at most 1000" in english for english, _ in far.ask(SQL).release.notes)
