"""Free text that goes into the log may name nobody by number: what looks like an identity number is refused.

Refused are 15 and 18 character numbers of persons (GB 11643) and firms (GB 32100), also with full-width digits or
Chinese ones, with blanks, dots or dashes between them, and with characters that nobody sees; 18 character numbers of
persons also with other marks between the digits. Whether a check digit is right does not matter: a mistyped number
still names one.

Spec: docs/spec/accountability.md, "Texts".
"""

import re
import unicodedata

from middleplatform.errors import QueryError

__all__ = ["TEXT_MAX", "plain_text"]

TEXT_MAX = 2000
"""Most characters of one text: an entry of the log has room for several."""

_BETWEEN = re.compile(r"(?<=\d)[\s.·_/\-\u2010-\u2015\u200b-\u200d\u2060\ufeff]+(?=[\dXx])")
_DATE = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_PERSON = re.compile(rf"[1-9]\d{{5}}(?:18|19|20)\d{{2}}{_DATE}\d{{3}}[\dX]")
_LONG = re.compile(r"\d{15}")
_EXACT = re.compile(r"(?<!\d)(?:\d{15}|\d{17}[\dX])(?![\dA-Z])")
_MARKS = re.compile(r"(?<=\d)[\W_]{1,3}(?=[\dX])")
_OF_FIRMS = "[0-9A-HJ-NP-RT-UW-Y]"
_FIRM = re.compile(
    rf"(?<![0-9A-Z])(?:{_OF_FIRMS}[\s.\-]?){{2}}(?:\d[\s.\-]?){{6}}(?:{_OF_FIRMS}[\s.\-]?){{9}}{_OF_FIRMS}(?![0-9A-Z])"
)
_FIRM_DIGITS = 9
"""Least digits of a firm's number: words of capital letters have fewer."""
_CHINESE = str.maketrans("〇零一二三四五六七八九壹贰叁肆伍陆柒捌玖", "00123456789123456789")
_UNSEEN = frozenset({"Cf", "Mn", "Me"})
_FILLERS = frozenset("\u115f\u1160")
"""Letters without a shape; U+3164 becomes one of them (NFKC)."""


def plain_text(text: str, what: tuple[str, str]) -> str:
    """Return ``text`` without blanks around it when it names nobody by number.

    Args:
        text: As somebody typed it.
        what: What it is, English and Chinese, for the refusal.

    Raises:
        QueryError: Q040 it holds an identity-like number, or has more than ``TEXT_MAX`` characters.
    """
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise QueryError("Q040", what=(f"the {what[0]} has more than {TEXT_MAX} characters",
                                       f"{what[1]}超过 {TEXT_MAX} 个字符"))  # fmt: skip
    if _names_somebody(text):
        raise QueryError("Q040", what=(
            f"the {what[0]} holds what looks like an identity number; say where it stands, not what it is",
            f"{what[1]}中含有疑似身份号码或统一社会信用代码，请说明其位置而不要写出号码",
        ))  # fmt: skip
    return text


def _names_somebody(text: str) -> bool:
    plain = _seen(text)
    joined, run = _BETWEEN.sub("", plain), _MARKS.sub("", plain)
    return (
        any(form.search(plain) for form in (_LONG, _EXACT))
        or any(form.search(joined) for form in (_PERSON, _EXACT))
        or _PERSON.search(run) is not None
        or any(_names_firm(each) for each in (plain, joined))
    )


def _names_firm(text: str) -> bool:
    return any(
        sum(map(str.isdigit, found.group())) >= _FIRM_DIGITS for found in _FIRM.finditer(text)
    )


def _seen(text: str) -> str:
    """Return what a reader sees, in one form: plain digits, capital letters, nothing without a shape."""
    plain = unicodedata.normalize("NFKC", text).upper().translate(_CHINESE)
    return "".join(
        each for each in plain if unicodedata.category(each) not in _UNSEEN and each not in _FILLERS
    )
