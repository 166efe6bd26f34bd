"""Validate a parsed document with a published JSON Schema (draft 2020-12), in two languages.

The messages are our own: the validator's would quote values and know no Chinese.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from policies.documents import Document, Path, Problem, canonical, place

__all__ = ["Violation", "breaches", "schema", "violations"]

_TYPES_ZH = {
    "string": "文本", "integer": "整数", "number": "数字", "boolean": "真假值",
    "array": "列表", "object": "映射", "null": "空",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of a schema.

    Attributes:
        path: To the value at fault, or to the mapping that lacks ``field``.
        keyword: The schema keyword that was breached, e.g. ``"required"``.
        field: The missing or unknown field; empty for other keywords.
        what: (English, Chinese) sentence.
    """

    path: Path
    keyword: str
    field: str
    what: tuple[str, str]


def _unique(_: Any, wanted: bool, given: object, __: object) -> Iterator[ValidationError]:  # noqa: ANN401, FBT001 - the validator's own form
    """Say whether a list has an item twice, in one look at each.

    The validator's own keyword compares every item with every other where they are of several kinds: a draft of 1 MB
    would keep a thread for hours.
    """
    if not wanted or not isinstance(given, list):
        return
    if len({_written(each) for each in given}) < len(given):
        yield ValidationError("an item is there twice")


def _pattern(_: Any, wanted: str, given: object, __: object) -> Iterator[ValidationError]:  # noqa: ANN401 - the same
    """A schema's ``$`` is the end of the text; Python's stands before a last line break too."""
    if isinstance(given, str) and not re.search(wanted.replace("$", r"\Z"), given):
        yield ValidationError("another form")


def _written(value: object) -> bytes:
    try:
        return canonical(value)
    except TypeError:  # a float, in what was no document of ours
        return json.dumps(value, sort_keys=True, default=str).encode()


_Validator = extend(  # type: ignore[no-untyped-call]  # untyped in its stubs
    Draft202012Validator, {"uniqueItems": _unique, "pattern": _pattern}
)


@cache
def _validator(name: str) -> Any:  # noqa: ANN401 - the class is made above
    return _Validator(schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def schema(name: str) -> Mapping[str, object]:
    """Return the published schema ``name`` (``catalog``, ``bundle``, ``suite``, ``regulation``)."""
    text = (files(__package__) / "schema" / f"{name}.schema.json").read_text(encoding="utf-8")
    parsed: Mapping[str, object] = json.loads(text)
    return parsed


def violations(value: object, name: str) -> tuple[Violation, ...]:
    """Return every breach of schema ``name`` by ``value``, in document order, each once."""
    found: dict[tuple[Path, str, str], Violation] = {}
    for error in _validator(name).iter_errors(value):
        path = tuple(error.absolute_path)
        for field, what in _said(error):
            found.setdefault((path, str(error.validator), field or what[0]),
                             Violation(path, str(error.validator), field, what))  # fmt: skip
    return tuple(sorted(found.values(), key=lambda each: [str(step) for step in each.path]))


def breaches(document: Document, name: str) -> tuple[Problem, ...]:
    """Return every breach of schema ``name`` by a whole document, with its place in the file."""
    return tuple(
        Problem(
            document.name,
            *place(document, each.path),
            " / ".join(map(str, each.path)),
            each.what,
        )
        for each in violations(document.value, name)
    )


def _said(error: ValidationError) -> list[tuple[str, tuple[str, str]]]:
    value: Any = error.validator_value
    shape: Any = error.schema
    given: Any = error.instance
    match error.validator:
        case "required":
            missing = [name for name in value if name not in given]
            return [(n, (f"field {n} is missing", f"缺少字段 {n}")) for n in missing]
        case "additionalProperties" if value is False:
            extra = [name for name in given if name not in shape.get("properties", {})]
            return [(n, (f"unknown field {n}", f"未知字段 {n}")) for n in extra]
        case "enum" | "const":
            names = ", ".join(map(str, value if isinstance(value, list) else [value]))
            return [("", (f"must be one of: {names}", f"必须是以下之一：{names}"))]
        case "type":
            kinds = value if isinstance(value, list) else [value]
            zh = "或".join(_TYPES_ZH[kind] for kind in kinds)
            return [("", (f"must be: {' or '.join(kinds)}", f"必须是{zh}"))]
        case _:
            wanted = shape.get("description") or f"{error.validator} {value}"
            return [("", (f"does not fit: {wanted}", f"不符合要求：{wanted}"))]
