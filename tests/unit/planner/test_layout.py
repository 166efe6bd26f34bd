"""What a department computes for a block: words, populations, units."""

from fractions import Fraction

import made_world as made
import pytest

from middleplatform.errors import QueryError
from middleplatform.model.plan import KeyWord, Part, SumWord
from middleplatform.model.query import AggregateKind, Coalesce, Field, Literal
from middleplatform.planner.layout import layout_of


def layout(sql):
    return layout_of(made.cell(sql), made.CATALOG)


def of(call, source="ga.income"):
    return layout(f"SELECT {call} FROM {source}")


AMOUNT, STEPS = Field("t0", "amount"), Field("t0", "steps")


def test_the_unit_of_a_table_is_its_registered_key():
    assert layout("SELECT COUNT(*) FROM ga.参保").unit == Field("t0", "身份证号")


def test_the_unit_of_a_block_of_units_is_its_key_under_its_new_name():
    found = layout("SELECT COUNT(*) FROM (SELECT id AS who, COUNT(*) AS n FROM ga.income GROUP BY id) u")  # fmt: skip
    block = made.cell("SELECT COUNT(*) FROM (SELECT id AS who, COUNT(*) AS n FROM ga.income GROUP BY id) u").rows.first  # fmt: skip
    named = next(column.name for column in block.columns if column.content == Field("t0", "id"))
    assert found.unit == Field(block.alias, named)


def test_the_unit_of_a_block_grouped_by_another_key_is_that_key():
    sql = "SELECT AVG(n) FROM (SELECT household, COUNT(*) AS n FROM ga.person GROUP BY household) h"
    block = made.cell(sql).rows.first
    named = next(column.name for column in block.columns if column.content == Field("t0", "household"))  # fmt: skip
    assert layout(sql).unit == Field(block.alias, named)


def test_the_unit_of_units_of_units_is_found():
    sql = "SELECT COUNT(*) FROM (SELECT firm, SUM(n) AS m FROM (SELECT id, firm, COUNT(*) AS n FROM ga.income GROUP BY id, firm) a GROUP BY firm) b"  # fmt: skip
    assert layout(sql).unit.relation == made.cell(sql).rows.first.alias


def test_a_word_is_computed_once_and_only_plain_columns_are_summed():
    found = of("SUM(amount), AVG(2 * amount + 1), SUM(amount) + SUM(steps)")
    assert found.sums == (SumWord(AMOUNT, 1, 2), SumWord(STEPS, 2, 0))
    assert [formula.parts for formula in found.formulas][1] == (Part(1, Fraction(1), ((Fraction(2), 0),)),)  # fmt: skip


def test_missing_values_make_a_population_of_their_own_that_is_not_strict():
    found = of("SUM(amount), COUNT(amount), SUM(COALESCE(amount, 0))")
    assert [population.present for population in found.populations] == [(), (AMOUNT,), ()]
    assert not any(population.strict for population in found.populations)
    assert found.sums[1].operand == Coalesce(AMOUNT, Literal(0))


def test_conditions_are_strict_populations():
    found = of("COUNT(*) FILTER (WHERE kind = '工资'), SUM(CASE WHEN kind = '工资' THEN steps END)")
    assert [population.strict for population in found.populations] == [False, True, True]


def test_a_key_that_cannot_be_missing_needs_no_population():
    assert len(of("COUNT(DISTINCT id)").populations) == 1


def test_a_distinct_count_of_another_key_is_a_key_word_and_of_the_unit_is_not():
    found = of("COUNT(DISTINCT id), COUNT(DISTINCT firm), COUNT(DISTINCT firm)")
    assert found.formulas[0].key == -1
    assert found.keys == (KeyWord(Field("t0", "firm"), 1),)
    assert found.words(found.formulas[0]) == ("units_0",)
    assert found.words(found.formulas[1]) == ("keys_0",)


def test_squares_are_summed_for_variances_only():
    assert of("SUM(steps)").squares == ()
    found = of("STDDEV_POP(steps), SUM(steps)")
    assert found.squares == (0,)
    assert found.words(found.formulas[0]) == ("rows_1", "sum_0", "sq_0")


@pytest.mark.parametrize(
    ("call", "scale", "integer"),
    [
        ("SUM(steps)", 0, True), ("SUM(amount)", 2, False), ("SUM(amount * 0.5)", 3, False), ("SUM(steps / 4)", 2, False), ("SUM(steps / 3)", -1, False), ("SUM(2 * steps + 7)", 0, True),
        ("SUM(steps + 0.25)", 2, False), ("SUM(amount + steps / 8)", 3, False), ("SUM(CASE WHEN kind = '工资' THEN amount ELSE 1 END)", 2, False), ("SUM(steps * 1e-35)", -1, False), ("SUM(steps / 40)", 3, False),
    ],
)  # fmt: skip
def test_the_scale_of_a_sum_is_exact_or_not_finite(call, scale, integer):
    (formula,) = of(call).formulas
    assert (formula.scale, formula.integer) == (scale, integer)


def test_scales_of_blocks_per_unit():
    def scale(call):
        (word,) = layout(f"SELECT SUM(v) FROM (SELECT id, {call} AS v FROM ga.income GROUP BY id) u").sums  # fmt: skip
        return word.scale

    assert [scale(call) for call in ("COUNT(*)", "COUNT(DISTINCT firm)", "SUM(amount)", "SUM(steps)", "SUM(steps / 4)", "AVG(amount)", "STDDEV_SAMP(steps)")] == [0, 0, 2, 0, 2, 6, 6]  # fmt: skip
    with pytest.raises(QueryError) as caught:
        scale("SUM(steps / 3)")
    assert caught.value.code == "Q031"


def test_a_column_of_a_left_join_may_be_missing():
    found = layout("SELECT SUM(u.n) FROM ga.person p LEFT JOIN (SELECT id, COUNT(*) AS n FROM ga.income GROUP BY id) u ON p.id = u.id")  # fmt: skip
    assert any(population.present for population in found.populations)
    inner = layout("SELECT SUM(u.n) FROM ga.person p JOIN (SELECT id, COUNT(*) AS n FROM ga.income GROUP BY id) u ON p.id = u.id")  # fmt: skip
    assert len(inner.populations) == 1


@pytest.mark.parametrize(
    ("source", "others"),
    [
        ("ga.person p JOIN ga.income i ON p.id = i.id", 0), ("ga.person p LEFT JOIN ga.income i ON p.id = i.id", 1), ("ga.person p LEFT JOIN ga.income i ON p.id = i.id WHERE i.id IS NULL", 0),
        ("ga.person a JOIN ga.person b ON a.household = b.household", 1), ("ga.person p JOIN ga.income i ON p.id = i.id JOIN ga.参保 s ON s.身份证号 = i.id", 0),
    ],
)  # fmt: skip
def test_units_of_further_tables_are_counted_where_they_are_not_the_cells_own(source, others):
    assert len(layout(f"SELECT COUNT(*) FROM {source}").others) == others


def test_a_layout_is_the_same_for_the_same_text_and_another_for_another():
    one, other = of("SUM(amount)"), of("SUM(amount), COUNT(*)")
    assert one == of("SUM(amount)")
    assert one != other


def test_an_else_of_zero_reads_no_column():
    found = of("SUM(CASE WHEN kind = '工资' THEN amount ELSE 0 END)")
    assert found.formulas[0].kind is AggregateKind.SUM
    assert found.formulas[0].parts[1].terms == ()
