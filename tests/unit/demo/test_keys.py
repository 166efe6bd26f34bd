"""Made keys satisfy the standards' check rules, stated here a second time and by hand."""

from hypothesis import given
from hypothesis import strategies as st

from middleplatform.demo.keys import credit_codes, identity_numbers

CREDIT = "0123456789ABCDEFGHJKLMNPQRTUWXY"
COUNTY = st.integers(1, 6).map(lambda place: f"9901{place:02}")
BODY = st.tuples(COUNTY, st.dates(), st.integers(0, 999)).map(
    lambda parts: f"{parts[0]}{parts[1].year:04}{parts[1].month:02}{parts[1].day:02}{parts[2]:03}"
)


def identity_holds(number):
    """GB 11643: the weighted sum, the check character included, is 1 modulo 11."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)
    values = [10 if letter == "X" else int(letter) for letter in number]
    return sum(v * w for v, w in zip(values, weights, strict=True)) % 11 == 1


def credit_holds(code):
    """GB 32100: the weighted sum, the check character included, is 0 modulo 31."""
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28, 1)
    return sum(CREDIT.index(c) * w for c, w in zip(code, weights, strict=True)) % 31 == 0


def organization_holds(code):
    """GB 11714: eight characters by 3 7 9 10 5 8 4 2; the check brings the sum to 0 modulo 11."""
    *stem, check = (int(letter, 36) for letter in code)
    last = 10 if code[-1] == "X" else check
    total = sum(v * w for v, w in zip(stem, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    return (total + last) % 11 == 0


@given(st.lists(BODY, max_size=20))
def test_every_identity_number_keeps_its_body_and_passes_gb_11643(bodies):
    numbers = identity_numbers(bodies)
    assert [number[:17] for number in numbers] == bodies
    assert all(identity_holds(number) for number in numbers)


def test_published_examples_of_gb_11643_are_reproduced():
    assert identity_numbers(["11010519491231002", "44052418800101001"]) == [
        "11010519491231002X",
        "440524188001010014",
    ]


@given(st.lists(st.tuples(COUNTY, st.text()), max_size=20))
def test_every_credit_code_lies_in_its_region_and_passes_both_checks(firms):
    codes = credit_codes([region for region, _ in firms], [source for _, source in firms])
    assert [code[:8] for code in codes] == ["91" + region for region, _ in firms]
    assert all(len(code) == 18 for code in codes)
    assert all(credit_holds(code) for code in codes)
    assert all(organization_holds(code[8:17]) for code in codes)


@given(COUNTY, st.text(), st.text())
def test_credit_code_depends_on_its_source_alone(region, one, other):
    alone = credit_codes([region], [one])
    assert credit_codes([region, region], [other, one])[1:] == alone
    assert (credit_codes([region], [other]) == alone) == (one == other)


@given(BODY, st.integers(0, 16), st.integers(1, 9))
def test_any_single_wrong_digit_is_found(body, place, shift):
    number = identity_numbers([body])[0]
    wrong = str((int(number[place]) + shift) % 10)
    assert not identity_holds(number[:place] + wrong + number[place + 1 :])
