"""Base populations: the same whatever the sensitive values are, and every released row lies in one of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.errors import QueryError
from middleplatform.model.query import (
    Between,
    Boolean,
    Case,
    CellQuery,
    Compare,
    Dimension,
    Field,
    InList,
    IsNull,
    IsTrue,
    Join,
    JoinKind,
    Literal,
    Not,
    Rows,
    Table,
)
from middleplatform.node.base_populations import CONDITIONS_MAX, bases

OPEN, SECRET = ("a", "b"), ("s", "t")
VALUES = (None, 0, 1, 2)


def sensitive(_dataset, column):
    return column in SECRET


def field(name, relation="x"):
    return Field(relation, name)


constants = st.sampled_from(VALUES[1:]).map(Literal)
columns = st.sampled_from([*OPEN, *SECRET]).map(field)


def atoms(operand):
    return st.one_of(
        st.builds(Compare, st.sampled_from(["=", "<>", "<", ">="]), operand, constants),
        st.builds(InList, operand, st.lists(constants, min_size=1, max_size=2).map(tuple)),
        st.builds(Between, operand, constants, constants),
        st.builds(IsNull, operand),
    )


def grown(inner):
    pairs = st.lists(inner, min_size=2, max_size=3).map(tuple)
    choices = st.builds(
        Case,
        st.lists(st.tuples(inner, constants), min_size=1, max_size=2).map(tuple),
        st.one_of(constants, columns),
    )
    return st.one_of(
        st.builds(Boolean, st.sampled_from(["and", "or"]), pairs),
        st.builds(Not, inner),
        st.builds(IsTrue, inner),
        atoms(choices),
    )


predicates = st.recursive(atoms(columns), grown, max_leaves=7)
rows_of_table = st.lists(st.tuples(*[st.sampled_from(VALUES)] * 4), min_size=1, max_size=12)


# --- three-valued logic, said again ----------------------------------------------------------------------------------


def value(item, row):
    match item:
        case Field(name=name):
            return row[name]
        case Literal(value=found):
            return found
        case Case(branches=branches, default=default):
            return next((value(v, row) for p, v in branches if holds(p, row)), value(default, row))


OPS = {
    "=": lambda x, y: x == y,
    "<>": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    ">=": lambda x, y: x >= y,
}


def holds(item, row):
    match item:
        case Compare(op=op, left=left, right=right):
            one, two = value(left, row), value(right, row)
            return None if one is None or two is None else OPS[op](one, two)
        case InList(operand=operand, values=values):
            own = value(operand, row)
            return None if own is None else own in [each.value for each in values]
        case Between(operand=operand, low=low, high=high):
            own = value(operand, row)
            return None if own is None else low.value <= own <= high.value
        case IsNull(operand=operand):
            return value(operand, row) is None
        case IsTrue(operand=operand):
            return holds(operand, row) is True
        case Not(operand=operand):
            found = holds(operand, row)
            return None if found is None else not found
        case Boolean(op=op, operands=operands):
            found = [holds(each, row) for each in operands]
            ends = op == "or"
            return ends if ends in found else None if None in found else not ends
        case Literal(value=found):
            return found


def table(rows):
    return [dict(zip((*OPEN, *SECRET), row, strict=True)) for row in rows]


def kept(cell, rows):
    return {
        number
        for number, row in enumerate(rows)
        if cell.rows.where is None or holds(cell.rows.where, row) is True
    }


def block(where, *labels):
    dimensions = tuple(Dimension(f"d{at}", label) for at, label in enumerate(labels))
    return CellQuery("cells_0", Rows(Table("x", "ga.t"), (), where), dimensions, ())


def found(cell):
    try:
        return bases(cell, sensitive)
    except QueryError:
        return None


@settings(max_examples=200, deadline=None)
@given(predicates, rows_of_table, rows_of_table)
def test_base_populations_do_not_change_with_sensitive_values(where, rows, others):
    made = found(block(where))
    if made is None:
        return
    one = table(rows)
    other = [
        {**row, **{name: others[at % len(others)][place] for place, name in enumerate(SECRET)}}
        for at, row in enumerate(one)
    ]
    assert [kept(base, one) for base in made] == [kept(base, other) for base in made]


@settings(max_examples=200, deadline=None)
@given(predicates, rows_of_table)
def test_every_row_lies_in_a_base_population(where, rows):
    made = found(block(where))
    if made is None:
        return
    lines = table(rows)
    inside = set().union(*[kept(base, lines) for base in made])
    assert kept(block(where), lines) <= inside


@settings(max_examples=200, deadline=None)
@given(predicates, rows_of_table)
def test_the_rows_of_one_assignment_lie_in_one_base_population(where, rows):
    """Where all rows have the same sensitive values, one of the base populations is exactly what is asked, or holds it."""
    made = found(block(where))
    if made is None:
        return
    lines = [{**row, **{name: table(rows)[0][name] for name in SECRET}} for row in table(rows)]
    asked = kept(block(where), lines)
    assert not asked or any(asked <= kept(base, lines) for base in made)
    assert not asked or any(asked == kept(base, lines) for base in made)


S, T, A, B = (Compare("=", field(name), Literal(1)) for name in ("s", "t", "a", "b"))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, {None}),
        (A, {A}),
        (S, {None}),
        (Boolean("and", (A, S, T)), {A}),
        (Boolean("or", (A, S)), {A, None}),
        (Boolean("or", (A, Boolean("and", (B, S)))), {A, Boolean("or", (A, B))}),
        (Boolean("or", (S, T, Not(S))), {None}),
        (Boolean("and", (S, Not(A))), {Not(A)}),
        (IsTrue(Boolean("and", (S, A))), {IsTrue(A)}),
    ],
)
def test_what_remains_of_a_condition(where, expected):
    assert {base.rows.where for base in bases(block(where), sensitive)} == expected


def test_a_condition_that_hides_in_a_choice_is_found():
    label = Case(((S, Literal("x")), (A, Literal("x"))), Literal("y"))
    hidden = Compare("=", label, Literal("x"))
    found_ = {base.rows.where for base in bases(block(hidden), sensitive)}
    assert any(where is not None and "a" in repr(where) for where in found_)
    assert None in found_


def test_sensitive_labels_are_dropped_and_what_is_mixed_is_opened():
    label = Case(((S, Literal("x")), (A, Literal("y"))), Literal("z"))
    made = bases(block(None, field("b"), field("s"), label), sensitive)
    assert {tuple(item.name for item in base.dimensions) for base in made} == {
        ("d0",),
        ("d0", "d2"),
    }


def test_too_many_mixed_conditions_are_refused():
    many = [
        Boolean(
            "and", (Compare("=", field("s"), Literal(at)), Compare("=", field("a"), Literal(at)))
        )
        for at in range(CONDITIONS_MAX + 1)
    ]
    assert bases(block(Boolean("or", tuple(many[:-1]))), sensitive)
    with pytest.raises(QueryError) as caught:
        bases(block(Boolean("or", tuple(many))), sensitive)
    assert (caught.value.code, caught.value.rule) == ("Q031", "R14")


def joined(kind, condition):
    join = Join(kind, Table("y", "ga.u"), ((field("a"), field("a", "y")),), condition)
    return CellQuery("cells_0", Rows(Table("x", "ga.t"), (join,)), (), ())


OUTER = Compare("=", field("s", "y"), Literal(1))


@pytest.mark.parametrize(("kind", "conditions"), [(JoinKind.INNER, {None}), (JoinKind.LEFT, {None, Literal(value=False)}), (JoinKind.ANTI, {None, Literal(value=False)})])  # fmt: skip
def test_a_condition_of_an_outer_join_holds_or_fails(kind, conditions):
    made = bases(joined(kind, OUTER), sensitive)
    assert {base.rows.joins[0].condition for base in made} == conditions


def test_a_mixed_condition_of_an_outer_join_is_refused():
    mixed = Boolean("or", (OUTER, Compare("=", field("b", "y"), Literal(1))))
    assert bases(joined(JoinKind.INNER, mixed), sensitive)
    with pytest.raises(QueryError):
        bases(joined(JoinKind.LEFT, mixed), sensitive)
