"""Approved query templates: building them from what is written, and to whom they are open.

A template is a finite list of statements, written once. What its SQL names is read where SQL is
(``authorization.templates``). Spec: docs/spec/grants.md, "Approved templates".
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import prod
from typing import cast

from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle, Grant, Purpose, Risk, Template
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate, grants

__all__ = [
    "CHARACTERS_MAX", "PREFIX", "STATEMENTS_MAX", "TEMPLATES_MAX", "Offer", "approval", "build", "named", "number",
    "offers", "problems_of", "stands",
]  # fmt: skip

PREFIX = "T/"
"""Begins a template's number, where a grant's would stand. No grant's begins so."""

STATEMENTS_MAX = 256
"""Statements that one template may stand for: permitted literals multiply, and every statement is judged."""

CHARACTERS_MAX = 100_000
"""Characters of all of a template's statements: the first question that may be one of them has all of them read."""

TEMPLATES_MAX = 256
"""Templates of a policy: every question is held against each that is open to who asks."""

Raw = Mapping[str, object]
Said = tuple[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Offer:
    """A template that a person may ask.

    Attributes:
        template: Which.
        purposes: For which the person may ask it, sorted.
    """

    template: Template
    purposes: tuple[Purpose, ...]


def build(name: str, raw: Raw) -> Template:
    """Return the template that ``raw``, valid by the schema and by ``problems_of``, describes."""
    risk = cast("Mapping[str, str]", raw["risk"])
    return Template(
        name=name,
        title_zh=str(raw["title_zh"]),
        title_en=str(raw["title_en"]),
        sql=str(raw["sql"]).strip(),
        parameters=tuple(
            (each, tuple(map(literal, values))) for each, values in _parameters(raw).items()
        ),
        departments=_names(raw, "departments"),
        subjects=_names(raw, "subjects"),
        purposes=_names(raw, "purposes"),
        regions=tuple(sorted(map(str, cast("list[object]", raw["regions"])))),
        starts=grants.moment(str(raw["starts"])),
        ends=grants.moment(str(raw["ends"])),
        basis=str(raw["basis"]),
        risk=Risk(
            risk["secrecy"], risk["personal"], risk["assessed_by"], date.fromisoformat(risk["assessed_on"]),
        ),
    )  # fmt: skip


def literal(value: object) -> str:
    """Return a written number or text as SQL."""
    if isinstance(value, int | Decimal):
        return format(value, "d" if isinstance(value, int) else "f")
    return "'" + str(value).replace("'", "''") + "'"


def problems_of(raw: Raw, catalog: Catalog, purposes: Collection[str]) -> Iterator[Said]:
    """Yield (field, sentence) for what keeps ``raw`` from being a template at all."""
    known = frozenset(purposes)
    for field, (english, chinese) in grants.problems_of({**raw, "columns": []}, catalog, known):
        yield (
            field,
            (english.replace("the grant", "the template"), chinese.replace("授权", "模板")),
        )
    yield from _assessed_late(raw)
    if not raw["purposes"]:
        yield "purposes", ("the template is for no purpose", "模板没有使用目的")
    count = prod(len(values) for values in _parameters(raw).values())
    if count > STATEMENTS_MAX:
        what = (
            f"the permitted literals make {count} statements, more than {STATEMENTS_MAX}",
            f"允许取值共组成 {count} 条语句，超过 {STATEMENTS_MAX} 条",
        )
        yield "parameters", what
    elif (long := count * _length(raw)) > CHARACTERS_MAX:
        what = (
            f"all its statements together have {long} characters, more than {CHARACTERS_MAX}",
            f"全部语句共 {long} 个字符，超过 {CHARACTERS_MAX} 个",
        )
        yield "sql", what


def _length(raw: Raw) -> int:
    """Return the characters of the longest statement, or a few more."""
    sql = str(raw["sql"])
    return len(sql) + sum(
        sql.count(f":{name}") * max(len(literal(each)) for each in values)
        for name, values in _parameters(raw).items()
    )


def _assessed_late(raw: Raw) -> Iterator[Said]:
    """A template is opened after its risk was assessed, not before; days are China's."""
    try:
        begins = (grants.moment(str(raw["starts"])) + _CHINA).date()
        assessed = date.fromisoformat(cast("Mapping[str, str]", raw["risk"])["assessed_on"])
    except (ValueError, OverflowError):
        return  # told elsewhere
    if assessed > begins:
        what = "the template starts before its risk was assessed", "模板的起始早于风险评估日期"
        yield "risk", what


_CHINA = timedelta(hours=8)


def number(template: Template) -> str:
    """Return what stands for the template where a grant's number would."""
    return PREFIX + template.name


def named(ids: Collection[str]) -> str:
    """Return the name of the template among the numbers that a decision rests on, or nothing."""
    return next((each.removeprefix(PREFIX) for each in ids if each.startswith(PREFIX)), "")


def approval(template: Template, columns: Collection[str], operation: str) -> Grant:
    """Return the grant that a template is, once a question is known to be its own.

    Args:
        template: Which.
        columns: ``"dataset.column"`` names that it opens for ``operation``.
        operation: One of ``evaluate.OPERATIONS``.
    """
    return Grant(
        id=number(template),
        departments=template.departments,
        subjects=template.subjects,
        purposes=template.purposes,
        columns=frozenset(columns),
        operations=frozenset({operation}),
        regions=template.regions,
        starts=template.starts,
        ends=template.ends,
        basis=template.basis,
    )


def stands(template: Template, subject: Subject, purpose: str, now: datetime) -> bool:
    """Say whether a template is open to a person for a purpose at a moment: judged as a grant is."""
    alone = approval(template, (), "count")
    return evaluate.binds((alone,), subject, purpose, now) != ()


def offers(bundle: Bundle, subject: Subject, now: datetime) -> tuple[Offer, ...]:
    """Return the templates that are open to a person, in the order of the policy."""
    found = []
    for template in bundle.templates.values():
        purposes = tuple(
            stated
            for code, stated in sorted(bundle.purposes.items())
            if stated.roles & subject.roles and stands(template, subject, code, now)
        )
        if purposes:
            found.append(Offer(template, purposes))
    return tuple(found)


def _parameters(raw: Raw) -> Mapping[str, list[object]]:
    return cast("Mapping[str, list[object]]", raw.get("parameters", {}))


def _names(raw: Raw, key: str) -> frozenset[str]:
    return frozenset(cast("list[str]", raw.get(key, [])))
