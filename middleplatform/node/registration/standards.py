"""Count what keeps to the data standards and what does not, column by column, over whole Arrow arrays.

Every function takes one column of a batch and returns counts that add up over batches; none keeps, returns or logs a
value. Nothing loops over rows.

Standards: GB 11643-1999 (公民身份号码, with the 15 digits of before), GB 32100-2015 (统一社会信用代码),
ISO 7064 MOD 11-2, ISO/IEC 7812-1 annex B (the Luhn check of bank cards).

Reveals:
    Nothing by themselves: counts of any size, for the department's own engineer.
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Counts", "credit", "dates", "identity", "numbers", "shapes", "texts"]

Counts = Mapping[str, int]
Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Judge = Callable[[pa.Array], Counts]

_IDENTITY_WEIGHTS = np.array([2**power % 11 for power in range(17, 0, -1)], dtype=np.int64)
_IDENTITY_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)
_CREDIT_LETTERS = b"0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I, O, S, V, Z
_CREDIT_WEIGHTS = np.array([3**power % 31 for power in range(17)], dtype=np.int64)
_CREDIT_VALUES = np.zeros(128, dtype=np.int64)
_CREDIT_VALUES[np.frombuffer(_CREDIT_LETTERS, dtype=np.uint8)] = np.arange(31)
_CREDIT_CHECKS = np.frombuffer(_CREDIT_LETTERS, dtype=np.uint8)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
_FIRST_YEAR = 1900
_ZERO = ord("0")

_FULL_WIDTH = "[\uff01-\uff5e\u3000]"
_ASCII_WIDE = "^[\x21-\x7e\uff01-\uff5e]+$"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟"
    "谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_SHAPES = {
    "like_mobile": r"^1[3-9]\d{9}$",
    "like_email": r"^[\w.+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$",
    "like_name": f"^[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}$",
    "like_region": r"^[1-9]\d{5}$",
    "like_date": r"^(19|20)\d\d[-/.年]?(0?[1-9]|1[0-2])[-/.月]?(0?[1-9]|[12]\d|3[01])日?$",
}
_CARD = r"^[3-9]\d{15,18}$"
_FREE_TEXT_LENGTH = 31


def _count(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _matches(values: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(values, pattern)


# --- text -------------------------------------------------------------------------------------------------------------


def texts(values: pa.Array, codes: tuple[str, ...]) -> dict[str, int]:
    """Count texts that are blank, padded, in full-width form, or outside the code table.

    Args:
        values: Of type string.
        codes: The code table; empty for none.

    Returns:
        ``missing`` (null or blank), ``blank``, ``padded``, ``full_width`` and, with a table, ``outside_codes`` and
        ``normalisable`` (of those, the ones that are codes once trimmed and made half-width).
    """
    present = values.drop_null()
    trimmed = pc.utf8_trim_whitespace(present)
    blank = pc.equal(trimmed, "")
    found = {
        "missing": values.null_count + _count(blank),
        "blank": _count(blank),
        "padded": _count(pc.and_(pc.invert(blank), pc.not_equal(trimmed, present))),
        "full_width": _count(pc.and_(pc.invert(blank), _matches(trimmed, _FULL_WIDTH))),
    }
    if codes:
        known = pa.array(codes, pa.string())
        outside = pc.and_(pc.invert(blank), pc.invert(pc.is_in(present, known)))
        mended = pc.is_in(_half_width(trimmed), known)
        found["normalisable"] = _count(pc.and_(outside, mended))
        found["outside_codes"] = _count(pc.and_(outside, pc.invert(mended)))
    return found


def _half_width(trimmed: pa.Array) -> pa.Array:
    """Return texts of ASCII and its full-width forms in ASCII alone; others as they are."""
    wide = pc.and_(_matches(trimmed, _FULL_WIDTH), _matches(trimmed, _ASCII_WIDE))
    if not _count(wide):
        return trimmed
    narrow = pc.utf8_normalize(trimmed.filter(wide), form="NFKC")
    return pc.replace_with_mask(trimmed, wide, narrow)


def shapes(values: pa.Array, today: date) -> dict[str, int]:
    """Count values by what they look like, for proposals of a class.

    Args:
        values: Of type string or int64.
        today: Births after it are no births.

    Returns:
        ``present`` and ``like_identity``, ``like_credit``, ``like_mobile``, ``like_card``, ``like_email``,
        ``like_name``, ``like_region``, ``like_date``, ``like_free_text``; a value may count for several.
    """
    present = values.drop_null()
    if not pa.types.is_string(present.type):
        present = present.cast(pa.string())
    trimmed = _half_width(pc.utf8_trim_whitespace(present))
    trimmed = trimmed.filter(pc.not_equal(trimmed, ""))
    found = {name: _count(_matches(trimmed, pattern)) for name, pattern in _SHAPES.items()}
    upper = pc.ascii_upper(trimmed)
    found["present"] = len(trimmed)
    found["like_identity"] = sum(
        count for name, count in _identity(upper, today).items() if name in ("valid", "old_form")
    )
    found["like_credit"] = _credit(upper)["valid"]
    found["like_card"] = _luhn(trimmed.filter(_matches(trimmed, _CARD)))
    long = pc.greater_equal(pc.utf8_length(trimmed), _FREE_TEXT_LENGTH)
    found["like_free_text"] = _count(long)
    return found


# --- keys -------------------------------------------------------------------------------------------------------------


def identity(values: pa.Array, today: date) -> dict[str, int]:
    """Count identity numbers (GB 11643-1999) that are right, that can be mended without a guess, and that are wrong.

    Args:
        values: Of type string.
        today: Births after it are wrong.

    Returns:
        Of the values that are not blank, each in one of ``valid``, ``normalisable`` (right once trimmed, half-width and
        with a capital X), ``old_form`` (15 digits, a birth in 19yy), ``bad_form`` (not 18 or 15 characters of the
        alphabet), ``bad_region`` (the region code begins with 0), ``bad_birth`` (no date from 1900 to today),
        ``bad_check`` (ISO 7064 MOD 11-2). Beside them in what values differ from their normal form, right or wrong,
        which may overlap: ``padded_key``, ``full_width_key``, ``lower_case_key``.
    """
    return _keys(values, lambda normal: _identity(normal, today), ("valid", "old_form"))


def credit(values: pa.Array) -> dict[str, int]:
    """Count unified social credit codes (GB 32100-2015) like ``identity``.

    Args:
        values: Of type string.

    Returns:
        Each in one of ``valid``, ``normalisable``, ``bad_form`` (not 18 of the 31 characters), ``bad_region``
        (positions 3 to 8 are no digits), ``bad_check`` (modulus 31); and beside them in what values differ.
    """
    return _keys(values, _credit, ("valid",))


def _keys(values: pa.Array, judge: Judge, right: tuple[str, ...]) -> dict[str, int]:
    """Judge values as they are, then those that are not right once more in their normal form."""
    present = values.drop_null()
    trimmed = pc.utf8_trim_whitespace(present)
    filled = pc.not_equal(trimmed, "")
    present, trimmed = present.filter(filled), trimmed.filter(filled)
    half = _half_width(trimmed)
    normal = pc.ascii_upper(half)
    clean = pc.equal(present, normal)
    found = dict(judge(present.filter(clean)))
    mended = normal.filter(pc.invert(clean))
    judged = judge(mended)
    for name, count in judged.items():
        target = "normalisable" if name in right else name
        found[target] = found.get(target, 0) + count
    found.setdefault("normalisable", 0)
    altered = pc.invert(clean)
    found["padded_key"] = _count(pc.and_(altered, pc.not_equal(present, trimmed)))
    found["full_width_key"] = _count(pc.and_(altered, pc.not_equal(half, trimmed)))
    found["lower_case_key"] = _count(pc.and_(altered, pc.not_equal(half, normal)))
    return found


def _identity(normal: pa.Array, today: date) -> dict[str, int]:
    new = normal.filter(_matches(normal, r"^\d{17}[\dX]$"))
    old = normal.filter(_matches(normal, r"^\d{15}$"))
    found = {"bad_form": len(normal) - len(new) - len(old)}
    letters = _letters(new, 18)
    digits = letters[:, :17].astype(np.int64) - _ZERO
    region = digits[:, 0] > 0
    birth = _births(digits[:, 6:10] @ (1000, 100, 10, 1), digits[:, 10:14], today)
    check = _IDENTITY_CHECKS[digits @ _IDENTITY_WEIGHTS % 11] == letters[:, 17]
    short = _letters(old, 15).astype(np.int64) - _ZERO
    short_region = short[:, 0] > 0
    short_birth = _births(short[:, 6:8] @ (10, 1) + _FIRST_YEAR, short[:, 8:12], today)
    found["bad_region"] = _sum(~region) + _sum(~short_region)
    found["bad_birth"] = _sum(region & ~birth) + _sum(short_region & ~short_birth)
    found["bad_check"] = _sum(region & birth & ~check)
    found["valid"] = _sum(region & birth & check)
    found["old_form"] = _sum(short_region & short_birth)
    return found


def _credit(normal: pa.Array) -> dict[str, int]:
    formed = normal.filter(_matches(normal, "^[0-9A-HJ-NPQRTUWXY]{18}$"))
    letters = _letters(formed, 18)
    region = ((letters[:, 2:8] >= _ZERO) & (letters[:, 2:8] <= _ZERO + 9)).all(axis=1)
    sums = _CREDIT_VALUES[letters[:, :17]] @ _CREDIT_WEIGHTS
    check = _CREDIT_CHECKS[-sums % 31] == letters[:, 17]
    return {
        "bad_form": len(normal) - len(formed),
        "bad_region": _sum(~region),
        "bad_check": _sum(region & ~check),
        "valid": _sum(region & check),
    }


def _luhn(cards: pa.Array) -> int:
    """Return how many of 16 to 19 digits pass the Luhn check."""
    passed = 0
    for length in range(16, 20):
        chosen = cards.filter(pc.equal(pc.binary_length(cards), length))
        digits = _letters(chosen, length).astype(np.int64) - _ZERO
        doubled = digits[:, -2::-2] * 2
        sums = digits[:, -1::-2].sum(axis=1) + (doubled - 9 * (doubled > 9)).sum(axis=1)  # noqa: PLR2004 - a digit
        passed += _sum(sums % 10 == 0)
    return passed


def _letters(values: pa.Array, width: int) -> Bytes:
    """Return texts that are all ``width`` bytes long as a matrix, one row a text."""
    if not len(values):
        return np.zeros((0, width), dtype=np.uint8)
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int32)
    first, last = offsets[values.offset], offsets[values.offset + len(values)]
    return np.frombuffer(values.buffers()[2], dtype=np.uint8)[first:last].reshape(-1, width)


def _births(years: NDArray[np.int64], rest: NDArray[np.int64], today: date) -> Mask:
    """Say which are dates from 1900 to ``today``; ``rest`` holds two digits of the month and two of the day."""
    months, days = rest[:, :2] @ (10, 1), rest[:, 2:] @ (10, 1)
    leap = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    sound = (months >= 1) & (months <= 12)  # noqa: PLR2004 - the calendar
    most = _MONTH_DAYS[np.where(sound, months, 0)] + (leap & (months == 2))  # noqa: PLR2004 - February
    ordered = years * 10_000 + months * 100 + days
    latest = today.year * 10_000 + today.month * 100 + today.day
    dated = sound & (days >= 1) & (days <= most)
    return np.asarray(dated & (years >= _FIRST_YEAR) & (ordered <= latest), dtype=np.bool_)


def _sum(mask: NDArray[np.bool_] | np.bool_) -> int:
    return int(np.count_nonzero(mask))


# --- numbers and dates ------------------------------------------------------------------------------------------------


def numbers(
    values: pa.Array, precision: int, scale: int, codes: tuple[str, ...] = ()
) -> dict[str, int]:
    """Count numbers that the declared type does not hold, or that are no code of the table.

    Args:
        values: Of type int64 or decimal128.
        precision: Digits in all, as declared.
        scale: Digits after the point, as declared.
        codes: The code table of a whole number; empty for none.

    Returns:
        ``missing``, ``outside_range`` (too many digits before the point), ``outside_scale`` (too many after it),
        ``negative``, and with a table ``outside_codes``.
    """
    present = values.drop_null()
    exact = present if pa.types.is_decimal(present.type) else present.cast(pa.decimal128(38, 0))
    digits = precision - scale
    found = {
        "missing": values.null_count,
        "outside_range": 0,
        "outside_scale": 0,
        "negative": _count(pc.less(exact, pa.scalar(Decimal(0), exact.type))),
    }
    if digits + exact.type.scale < exact.type.precision:  # else the type holds no such number
        bound = pa.scalar(Decimal(10) ** digits, exact.type)
        outside = pc.greater_equal(pc.abs(exact), bound)
        found["outside_range"] = _count(outside)
    if exact.type.scale > scale:
        rounded = pc.round(exact, ndigits=scale)
        found["outside_scale"] = _count(pc.not_equal(rounded, exact))
    if codes:
        known = pc.is_in(present.cast(pa.string()), pa.array(codes, pa.string()))
        found["outside_codes"] = _count(pc.invert(known))
    return found


def dates(values: pa.Array, today: date) -> dict[str, int]:
    """Count dates that lie in the future or before 1900.

    Args:
        values: Of type date32.
        today: The last day that is not the future.
    """
    present = values.drop_null()
    return {
        "missing": values.null_count,
        "future": _count(pc.greater(present, pa.scalar(today, pa.date32()))),
        "before_1900": _count(pc.less(present, pa.scalar(date(_FIRST_YEAR, 1, 1), pa.date32()))),
    }
