"""A side's rows are of distinct registrations, whether its table has duplicates or not."""

import made_join
import numpy as np
import pytest

from middleplatform.node.join_read import any_twice

PAID = "SELECT t.district AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY t.district"  # fmt: skip


def parties_of(folder, payers, bundle=None):
    """Return parties whose table of payers is this."""
    held = {**made_join.rows(), "payer": payers}
    return made_join.Parties(folder, bundle or made_join.bundle(), held)


def answer(parties):
    """Return persons and totals by district, and the payers' number of list rows."""
    join = parties.join(PAID).ready()
    cells = join.cells()
    totals = join.totals(cells)
    labels, _ = join.labels(cells)
    found = {labels[key]: (len(rows), totals[key]["sum_0"]) for key, rows in cells.items()}
    return found, join.heads["tax"].rows


@pytest.fixture(scope="module")
def distinct():
    """Return payers of which no two are one."""
    return list({row[0]: row for row in made_join.rows()["payer"]}.values())


@pytest.mark.parametrize("protocol", ["helper", "blinded"])
def test_duplicates_count_once_and_the_least_of_them_counts(tmp_path, distinct, protocol):
    (name, district, paid), *_ = distinct
    doubled = [*distinct, (name, district, paid + 5), *[(key, at, sum_ + 9) for key, at, sum_ in distinct[5:40]]]  # fmt: skip
    bundle = made_join.bundle(protocol)
    rows = []
    for number, payers in enumerate((distinct, doubled)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with parties_of(folder, payers, bundle) as parties:
            join = parties.join(PAID).ready()
            if protocol == "blinded":
                join.blind()
            cells = join.cells()
            totals = join.totals(cells)
            labels, _ = join.labels(cells)
            rows.append({labels[key]: totals[key]["sum_0"] for key in cells})
            assert join.heads["tax"].rows == len(distinct)
    assert rows[0]
    assert rows[0] == rows[1]


def test_a_table_with_duplicates_is_asked_for_distinct_rows_at_once_from_then_on(
    tmp_path, distinct
):
    with parties_of(tmp_path, [*distinct, distinct[0]]) as parties:
        asked = []
        connector = parties.connectors[list(made_join.TABLES).index("tax")]
        execute = connector.execute
        connector.execute = lambda statement, limits: (
            asked.append("row number" in statement.sql) or execute(statement, limits)
        )
        first, second = answer(parties), answer(parties)
    assert first == second
    assert first[1] == len(distinct)
    assert asked == [False, True, True]


def test_rows_that_are_too_many_with_duplicates_only_are_still_joined(tmp_path, distinct):
    bundle = made_join.bundle()
    limits = type(bundle.limits)(join_rows_max=len(distinct))
    bundle = type(bundle)(**{**{name: getattr(bundle, name) for name in bundle.__slots__}, "limits": limits})  # fmt: skip
    with parties_of(tmp_path, [*distinct, *distinct], bundle) as parties:
        assert answer(parties)[1] == len(distinct)


def test_equal_tokens_are_seen_wherever_they_stand():
    draw = np.random.default_rng(3)
    tokens = draw.integers(0, 256, (10_000, 16), dtype=np.uint8)
    assert not any_twice(tokens)
    for first, second in ((0, 1), (0, 9_999), (4_000, 77)):
        changed = tokens.copy()
        changed[second] = changed[first]
        assert any_twice(changed)
    assert not any_twice(tokens[:1])
    assert not any_twice(tokens[:0])
