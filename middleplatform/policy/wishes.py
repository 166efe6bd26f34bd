"""Read an application for data as people write it: strict YAML, checked against its schema."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from middleplatform.errors import QueryError
from policies.documents import Document, Problem, read
from policies.schemas import breaches

__all__ = ["checked", "read_wish"]

_BYTES_MAX = 200_000


def read_wish(file: Path) -> Mapping[str, Any]:
    """Return what ``file`` says.

    Raises:
        QueryError: Q040, with every problem and its place.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_BYTES_MAX + 1)
    except OSError:
        what = (f"{file} cannot be read", f"无法读取 {file}")
        raise QueryError("Q040", what=what) from None
    if len(text) > _BYTES_MAX:
        raise QueryError("Q040", what=(f"{file} is too long", f"{file} 过长"))
    document, problems = read(file.name, text)
    if problems:
        raise _refused(problems)
    return _checked(document)


def checked(raw: Mapping[str, object]) -> Mapping[str, Any]:
    """Return ``raw`` when it is an application.

    Raises:
        QueryError: Q040, with every problem.
    """
    return _checked(Document("", raw))


def _checked(document: Document) -> Mapping[str, Any]:
    problems = breaches(document, "application")
    if problems:
        raise _refused(problems)
    return cast("Mapping[str, Any]", document.value)


def _refused(problems: tuple[Problem, ...]) -> QueryError:
    texts = tuple("\n".join(each.text(locale) for each in problems) for locale in ("en", "zh"))
    return QueryError("Q040", what=texts)
