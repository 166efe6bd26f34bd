"""The vectorised counts equal those of a slow, obvious reading of the standards, one value at a time."""

from collections import Counter
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from middleplatform.demo.keys import credit_codes, identity_numbers
from middleplatform.node.registration import standards

TODAY = date(2026, 3, 1)
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
HALF = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def _birth(text):
    try:
        found = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return date(1900, 1, 1) <= found <= TODAY


def _identity_class(value):
    ascii_digits = "0123456789"
    if len(value) == 15 and all(letter in ascii_digits for letter in value):
        if value[0] == "0":
            return "bad_region"
        return "old_form" if _birth("19" + value[6:12]) else "bad_birth"
    body = value[:17]
    if len(value) != 18 or any(letter not in ascii_digits for letter in body):
        return "bad_form"
    if value[17] not in "0123456789X":
        return "bad_form"
    if value[0] == "0":
        return "bad_region"
    if not _birth(value[6:14]):
        return "bad_birth"
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(body))
    return "valid" if "10X98765432"[total % 11] == value[17] else "bad_check"


def _credit_class(value):
    if len(value) != 18 or any(letter not in ALPHABET for letter in value):
        return "bad_form"
    if any(letter not in "0123456789" for letter in value[2:8]):
        return "bad_region"
    total = sum(
        ALPHABET.index(letter) * pow(3, place, 31) for place, letter in enumerate(value[:17])
    )
    return "valid" if ALPHABET[-total % 31] == value[17] else "bad_check"


def _half(text):
    plain = all(0x21 <= ord(letter) <= 0x7E or ord(letter) in HALF for letter in text)
    return text.translate(HALF) if plain else text


def _upper(text):
    return "".join(letter.upper() if letter.isascii() else letter for letter in text)


def _counted(values, judge, right):
    found = Counter()
    for value in values:
        trimmed = "" if value is None else value.strip()
        if not trimmed:
            continue
        half = _half(trimmed)
        normal = _upper(half)
        kind = judge(normal)
        found["normalisable" if kind in right and normal != value else kind] += 1
        if normal != value:
            found["padded_key"] += value != trimmed
            found["full_width_key"] += half != trimmed
            found["lower_case_key"] += half != normal
    return {name: count for name, count in found.items() if count}


def nonzero(found):
    return {name: count for name, count in found.items() if count}


@st.composite
def identities(draw):
    year = draw(st.integers(1890, 2030))
    body = f"{draw(st.sampled_from(('990101', '990106', '090101')))}{year}"
    body += (
        f"{draw(st.integers(0, 13)):02}{draw(st.integers(0, 32)):02}{draw(st.integers(0, 999)):03}"
    )
    value = identity_numbers([body])[0]
    if draw(st.booleans()):
        value = draw(
            st.sampled_from(
                (
                    value[:6] + value[8:17],
                    value[:17] + "1",
                    value[:17] + "x",
                    value[:-1],
                    value + "0",
                )
            )
        )
    return value


@st.composite
def credit_texts(draw):
    value = credit_codes(["990101"], [draw(st.text("abc", max_size=5))])[0]
    if draw(st.booleans()):
        place = draw(st.integers(0, 17))
        value = value[:place] + draw(st.sampled_from(ALPHABET + "IOSVZ")) + value[place + 1 :]
    return value


def disguised(values):
    def change(value, how):
        match how:
            case "padded":
                return f" {value}\u3000"
            case "wide":
                return "".join(chr(ord(letter) + 0xFEE0) for letter in value)
            case "mixed":
                return value[:-1] + chr(ord(value[-1]) + 0xFEE0)
            case "lower":
                return value.lower()
        return value

    return st.builds(change, values, st.sampled_from(("", "", "padded", "wide", "mixed", "lower")))


OTHERS = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(("", " ", "\u3000", "１²")))


@given(st.lists(st.one_of(disguised(identities()), OTHERS), max_size=30))
@example(["１²", "\u0660" * 18, "9901011990010100\u0661\u0661"])
def test_identity_numbers_are_counted_as_the_standard_reads_one_by_one(values):
    found = standards.identity(pa.array(values, pa.string()), TODAY)
    assert nonzero(found) == _counted(values, _identity_class, ("valid", "old_form"))


@given(st.lists(st.one_of(disguised(credit_texts()), OTHERS), max_size=30))
def test_credit_codes_are_counted_as_the_standard_reads_one_by_one(values):
    found = standards.credit(pa.array(values, pa.string()))
    assert nonzero(found) == _counted(values, _credit_class, ("valid",))


def test_a_slice_of_a_batch_is_counted_by_its_own_values():
    made = identity_numbers(["99010119900101001", "99010219911231002", "99010319800229003"])
    whole = pa.array([*made, None, "X"])
    assert nonzero(standards.identity(whole.slice(1, 3), TODAY)) == {"valid": 2}
    assert nonzero(standards.identity(whole.slice(3), TODAY)) == {"bad_form": 1}


@pytest.mark.parametrize(
    ("birth", "kind"),
    [
        ("20240229", "valid"), ("20230229", "bad_birth"), ("19000229", "bad_birth"),
        ("20000229", "valid"), ("19000101", "valid"), ("18991231", "bad_birth"),
        ("20260301", "valid"), ("20260302", "bad_birth"), ("19900431", "bad_birth"),
        ("19901301", "bad_birth"), ("19900100", "bad_birth"), ("00000000", "bad_birth"),
    ],
)  # fmt: skip
def test_a_birth_is_a_date_from_1900_to_today(birth, kind):
    value = identity_numbers([f"990101{birth}001"])
    assert nonzero(standards.identity(pa.array(value), TODAY)) == {kind: 1}


@given(st.lists(st.one_of(st.none(), st.text("1２2 \u3000男x", max_size=3)), max_size=30))
def test_texts_are_held_against_their_code_table(values):
    found = standards.texts(pa.array(values, pa.string()), ("1", "2", "男"))
    filled = [value for value in values if value is not None and value.strip()]
    unknown = [value for value in filled if value not in ("1", "2", "男")]
    mended = [value for value in unknown if _half(value.strip()) in ("1", "2", "男")]
    blanks = sum(value is not None and not value.strip() for value in values)
    assert found == {
        "missing": len(values) - len(filled),
        "blank": blanks,
        "padded": sum(value != value.strip() for value in filled),
        "full_width": sum(any(ord(x) in HALF or x == "\u3000" for x in v.strip()) for v in filled),
        "normalisable": len(mended),
        "outside_codes": len(unknown) - len(mended),
    }


@given(
    st.lists(st.one_of(st.none(), st.decimals("-99999", "99999", places=4)), max_size=30),
    st.integers(1, 18),
    st.integers(0, 6),
)
def test_numbers_are_held_against_their_declared_digits(values, precision, scale):
    scale = min(scale, precision)
    found = standards.numbers(pa.array(values, pa.decimal128(38, 4)), precision, scale)
    filled = [value for value in values if value is not None]
    assert found == {
        "missing": len(values) - len(filled),
        "outside_range": sum(abs(value) >= Decimal(10) ** (precision - scale) for value in filled),
        "outside_scale": sum(value != round(value, scale) for value in filled),
        "negative": sum(value < 0 for value in filled),
    }


def test_whole_numbers_at_the_edges_of_64_bits_are_counted():
    values = pa.array([10**18, 10**18 - 1, -(10**18), 2**63 - 1, -(2**63), None])
    found = standards.numbers(values, 18, 0)
    assert (found["outside_range"], found["missing"], found["negative"]) == (4, 1, 2)


def test_dates_of_the_future_and_before_1900_are_counted():
    values = [date(2026, 3, 1), date(2026, 3, 2), date(1899, 12, 31), date(1900, 1, 1), None]
    assert standards.dates(pa.array(values), TODAY) == {"missing": 1, "future": 1, "before_1900": 1}


def _luhn(text):
    digits = [int(digit) for digit in reversed(text)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


@given(st.lists(st.text("0123456789", min_size=15, max_size=20), max_size=20))
def test_bank_cards_are_told_by_length_and_luhn(values):
    found = standards.shapes(pa.array(values, pa.string()), TODAY)
    cards = [v for v in values if 16 <= len(v) <= 19 and v[0] in "3456789" and _luhn(v)]
    assert found["like_card"] == len(cards)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("13912345678", "like_mobile"), ("someone@example.org", "like_email"), ("王小明", "like_name"),
        ("990101", "like_region"), ("1990-01-31", "like_date"), ("说明" * 20, "like_free_text"),
        (credit_codes(["990101"], ["a"])[0], "like_credit"),
        (identity_numbers(["99010119900101001"])[0], "like_identity"),
    ],
)  # fmt: skip
def test_a_value_is_recognised_by_its_shape(value, shape):
    found = standards.shapes(pa.array([value, None, " "]), TODAY)
    assert (found[shape], found["present"]) == (1, 1)


def test_a_number_that_is_no_mobile_is_not_taken_for_one():
    values = pa.array([12912345678, 13912345678, 139123456789])
    assert standards.shapes(values, TODAY)["like_mobile"] == 1
