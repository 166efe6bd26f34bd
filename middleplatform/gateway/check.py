"""``policy check`` in full: what lint finds, and what the gateway's own judge says of every template's statements.

A template is judged with what it opens itself and no grant beside it: so it is refused to nobody to whom it is open.
Spec: docs/spec/policy-bundle.md, "Lint".
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import product

from middleplatform.authorization.templates import approvals, forms
from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.judge import judge
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle, Template
from middleplatform.model.request import Subject
from middleplatform.policy import lint
from middleplatform.policy.lint import Finding, Severity
from middleplatform.policy.suite import Case
from middleplatform.policy.templates import number
from middleplatform.sql.forms import Form, statements

__all__ = ["check"]

Said = tuple[Severity, str, tuple[str, str]]


def check(
    bundle: Bundle, catalog: Catalog, now: datetime, *, thorough: bool = True
) -> tuple[Finding, ...]:
    """Return every finding, errors first, then by place; a template's is at its number.

    Args:
        bundle: A loaded bundle.
        catalog: Today's catalogue.
        now: Aware; decides what has expired.
        thorough: Judge every statement of a template; only the first of each, while somebody types.
    """
    found = list(lint.check(bundle, catalog, now))
    taken: dict[Form, str] = {}
    for _, template in sorted(bundle.templates.items()):
        said = (*_around(template, bundle, catalog, now), *_same_form(template, bundle, taken))
        judged = (
            ()
            if any(each[0] is Severity.ERROR for each in said)
            else _judged(template, bundle, catalog, thorough=thorough)
        )
        for severity, code, what in (*said, *judged):
            found.append(Finding(severity, code, number(template), what))
    return tuple(sorted(found, key=lambda each: (each.severity, each.where, each.code)))


def _around(template: Template, bundle: Bundle, catalog: Catalog, now: datetime) -> Iterator[Said]:
    for code in sorted(template.departments - set(catalog.departments)):
        what = f"department {code} is unknown", f"未知的部门 {code}"
        yield Severity.ERROR, "template-unknown-department", what
    if template.ends <= now:
        yield Severity.WARNING, "template-expired", ("the template has expired", "模板已到期")
    try:
        statements(template.sql, template.parameters)
    except MiddleplatformError as error:
        what = error.message("en"), error.message("zh")
        yield Severity.ERROR, "template-malformed", what
        return
    if not approvals(template, bundle, catalog):
        what = (
            "the template opens no conditional column: nobody needs it",
            "模板未开放任何有条件共享的列：无需设置",
        )
        yield Severity.WARNING, "template-without-effect", what


def _same_form(template: Template, bundle: Bundle, taken: dict[Form, str]) -> Iterator[Said]:
    """Two templates of one statement could not be told apart: which of them opens it, and where."""
    others = set()
    for form in forms(template, bundle.limits):
        others.add(taken.setdefault(form, template.name))
    for name in sorted(others - {template.name}):
        what = f"template {name} has the same statement", f"与模板 {name} 的语句相同"
        yield Severity.ERROR, "template-twice", what


def _judged(
    template: Template, bundle: Bundle, catalog: Catalog, *, thorough: bool
) -> Iterator[Said]:
    """Yield the first refusal: of each statement, for each purpose."""
    alone = replace(bundle, grants=(), templates={template.name: template})
    texts = statements(template.sql, template.parameters)[: None if thorough else 1]
    for purpose, text in product(sorted(template.purposes), texts):
        case = Case(
            text,
            _asker(template, purpose, bundle, catalog),
            purpose,
            text,
            "permit",
            template.starts,
        )
        verdict = judge(case, catalog, alone)
        if verdict.verdict == "permit" and not verdict.code:
            continue
        why = verdict.rule or verdict.code
        what = (
            f"refused by {why} even so, for {purpose}: {text}",
            f"即使开放仍被 {why} 拒绝（目的 {purpose}）：{text}",
        )
        yield Severity.ERROR, "template-refused", what
        return


def _asker(template: Template, purpose: str, bundle: Bundle, catalog: Catalog) -> Subject:
    """Return somebody to whom the template is open: its first login and department, in any role that may ask."""
    departments = template.departments or frozenset(catalog.departments)
    return Subject(
        min(template.subjects, default=""),
        min(departments, default=""),
        bundle.purposes[purpose].roles,
        ("*",),
    )
