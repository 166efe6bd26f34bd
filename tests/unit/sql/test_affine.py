from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from middleplatform.model.query import Arithmetic, Coalesce, DateBucket, Field, Literal, Term
from middleplatform.sql.affine import affine, constant, plain, solve

X, Y = Field("t0", "x"), Field("t0", "y")
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.decimals(-(10**6), 10**6, places=4, allow_nan=False, allow_infinity=False),
)
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "=", "<>"])
HOLDS = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b, "=": lambda a, b: a == b, "<>": lambda a, b: a != b,
}  # fmt: skip


def op(sign, left, right):
    return Arithmetic(sign, left, right)


def trees(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"]), inner, inner),
        max_leaves=8,
    )


def value(expression, row):
    """Return what an expression is worth on a row, exactly; None where it cannot be computed."""
    match expression:
        case Literal(value=number):
            return Fraction(number)
        case Field(name=name):
            return Fraction(row[name])
        case Arithmetic(op=sign, left=left, right=right):
            one, other = value(left, row), value(right, row)
            if one is None or other is None or (sign == "/" and not other):
                return None
            return {"+": one + other, "-": one - other, "*": one * other}.get(sign) if sign != "/" else one / other  # fmt: skip
    raise AssertionError(expression)


def test_thirds_are_exact():
    form = affine(op("/", X, Literal(3)))
    assert form.terms == (Term(Fraction(1, 3), X),)
    assert affine(op("*", op("/", X, Literal(3)), Literal(3))).terms == (Term(Fraction(1), X),)


def test_terms_of_one_field_add_up_and_a_cancelled_one_stays():
    assert affine(op("+", X, X)).terms == (Term(Fraction(2), X),)
    assert affine(op("-", X, X)).terms == (Term(Fraction(0), X),)


@pytest.mark.parametrize(
    "expression",
    [
        op("*", X, Y), op("*", X, X), op("/", Literal(1), X), op("/", X, Literal(0)), op("/", X, Y), Literal("text"), Literal(None),
        Literal(True), DateBucket("month", X), op("+", X, Literal("1")), Coalesce(X, Literal("none")), op("+", X, DateBucket("month", X)),
    ],
)  # fmt: skip
def test_what_is_not_affine_is_none(expression):
    assert affine(expression) is None


def test_a_default_is_a_term_of_its_own():
    known = Coalesce(X, Literal(0))
    assert affine(op("+", known, X)).terms == (Term(Fraction(1), known), Term(Fraction(1), X))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    trees(st.one_of(st.just(X), st.just(Y), st.builds(Literal, NUMBERS))),
    st.integers(-50, 50),
    st.integers(-50, 50),
)
def test_an_affine_form_is_worth_what_the_expression_is(expression, x, y):
    form = affine(expression)
    row = {"x": x, "y": y}
    assume(form is not None)
    found = form.constant + sum(term.coefficient * row[term.operand.name] for term in form.terms)
    assert found == value(expression, row)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(trees(st.builds(Literal, NUMBERS)))
def test_a_constant_is_folded_to_its_worth(expression):
    folded, worth = constant(expression), value(expression, {})
    if worth is None:
        assert folded is None
    elif Fraction(folded.value) != worth:
        assert abs(Fraction(folded.value) - worth) <= Fraction(1, 10**10)


def test_constants_keep_their_kind():
    assert constant(Literal("a")) == Literal("a")
    assert constant(op("+", Literal(1), Literal(2))) == Literal(3)
    assert constant(op("/", Literal(1), Literal(4))) == Literal(Decimal("0.25"))
    assert constant(X) is None
    assert constant(op("+", X, Literal(1))) is None


def test_a_plain_number_is_whole_where_it_can_be_and_rounded_where_it_must():
    assert plain(Fraction(6, 3)) == 2
    assert plain(Fraction(1, 8)) == Decimal("0.125")
    assert plain(Fraction(1, 3)) == Decimal("0." + "3" * 18)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    trees(st.one_of(st.just(X), st.builds(Literal, NUMBERS))), OPERATORS, NUMBERS,
    st.lists(st.one_of(st.integers(-(10**10), 10**10), st.decimals(-(10**4), 10**4, places=3)), min_size=1, max_size=5),
)  # fmt: skip
def test_a_moved_comparison_holds_exactly_when_the_original_does(expression, sign, bound, values):
    moved = solve(expression, sign, bound)
    assume(moved is not None)
    operand, turned, number = moved
    assert operand == X
    for x in [*values, number]:
        original = HOLDS[sign](value(expression, {"x": x}), Fraction(bound))
        assert HOLDS[turned](Fraction(x), Fraction(number)) == original


@pytest.mark.parametrize(
    ("expression", "bound"),
    [
        (op("+", X, Y), 1), (Literal(1), 1), (op("-", X, X), 1), (op("*", X, Literal(0)), 0), (X, "text"), (X, None), (op("*", X, Literal(3)), 1),
        (op("*", X, X), 1),
    ],
)  # fmt: skip
def test_what_cannot_be_moved_exactly_is_none(expression, bound):
    assert solve(expression, "<", bound) is None


def test_a_negative_coefficient_turns_the_comparison():
    assert solve(op("-", Literal(2024), X), "<=", 2012) == (X, ">=", 12)
