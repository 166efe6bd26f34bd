"""Free text that goes into the log may name nobody by number: what looks like an identity number is refused.

Refused are 15 and 18 character numbers of persons (GB 11643) and firms (GB 32100), also with full-width digits,
and with blanks, dots or dashes between them. Whether a check digit is right does not matter: a mistyped number still
names one.

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
_FIRM = re.compile(r"(?<![0-9A-Z])[0-9A-HJ-NP-RT-UW-Y]{2}\d{6}[0-9A-HJ-NP-RT-UW-Y]{10}(?![0-9A-Z])")


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
    plain = unicodedata.normalize("NFKC", text).upper()
    joined = _BETWEEN.sub("", plain)
    return (
        any(form.search(plain) for form in (_LONG, _EXACT, _FIRM))
        or any(form.search(joined) for form in (_PERSON, _EXACT, _FIRM))
    )  # fmt: skip
