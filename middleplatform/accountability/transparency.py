"""The page for the public: how often, for what, with which result; never what, by whom or about whom.

Only whole months that are over, each for itself, so no two windows differ by a day. Every count is told as below ten,
zero included, or rounded down to a ten; so are totals, which are counted and not added up.

Spec: docs/spec/accountability.md, "Transparency page".
"""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from middleplatform.accountability.figures import cases
from middleplatform.accountability.periods import Period
from middleplatform.accountability.report_page import sheet, table
from middleplatform.accountability.ticket_desk import tickets
from middleplatform.audit.entry import LogEntry
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle

__all__ = ["SMALL", "Counted", "Transparency", "as_html", "counted", "plain", "published", "shown"]

SMALL = 10
"""Counts below this are told as such; the others are rounded down to a multiple of it."""

_ENDS = ("released", "refused", "failed")


@dataclass
class Counted:
    """Exact counts of a month; they never leave this package.

    Attributes:
        questions: That came in.
        ends: By how they ended.
        purposes: Questions by purpose.
        asking: Questions by department that asked.
        providing: Releases by department whose data they used.
        rules: Refusals by the rule that is told first.
    """

    questions: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    purposes: Counter[str] = field(default_factory=Counter)
    asking: Counter[str] = field(default_factory=Counter)
    providing: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Transparency:
    """What is published, counts as they are shown.

    Attributes:
        month: ``"2026-10"``.
        totals: Questions, how they ended, applications, tickets.
        purposes: By code; all that policy knows, in its order.
        asking: By department; all that the catalogue knows.
        providing: The same.
        rules: By rule id; only those with at least ``SMALL`` refusals.
        names: (English, Chinese) of each purpose and department, by code.
    """

    month: str
    totals: Mapping[str, str]
    purposes: Mapping[str, str]
    asking: Mapping[str, str]
    providing: Mapping[str, str]
    rules: Mapping[str, str]
    names: Mapping[str, tuple[str, str]]


def shown(count: int) -> str:
    """Return a count as the public may know it: ``"<10"`` or a multiple of ten rounded down, ``"20+"``."""
    return f"<{SMALL}" if count < SMALL else f"{count // SMALL * SMALL}+"


def counted(entries: Iterable[LogEntry], period: Period, catalog: Catalog) -> Counted:
    """Count the questions of a period in the log."""
    found = Counted()
    for entry in entries:
        record = entry.record
        if record.event != "received" and record.event not in _ENDS:
            continue
        if not period.holds(entry.at):
            continue
        _count(found, record.event, record.body, catalog)
    return found


def _count(found: Counted, event: str, body: Mapping[str, object], catalog: Catalog) -> None:
    if event == "received":
        found.questions += 1
        found.purposes[str(body.get("purpose"))] += 1
        found.asking[str(body.get("department"))] += 1
        return
    found.ends[event] += 1
    if event == "refused":
        found.rules[str(body.get("rule") or body.get("code"))] += 1
    used = body.get("datasets")
    known = [name for name in used if name in catalog.datasets] if isinstance(used, list) else []
    found.providing.update({catalog.datasets[name].owner for name in known})


def published(
    found: Counted,
    connection: Connection,
    period: Period,
    catalog: Catalog,
    bundle: Bundle,
    month: str,
) -> Transparency:
    """Return what may be published of exact counts.

    Args:
        found: Of the log.
        connection: To the store, reading.
        period: The month.
        catalog: Departments that are listed, whether they did anything or not.
        bundle: Purposes that are listed, the same.
        month: Its name.
    """
    applied = sum(period.holds(each.state.submitted_at) for each in cases(connection))
    opened = sum(period.holds(each.opened_at) for each in tickets(connection))
    totals = {"questions": found.questions, **{each: found.ends[each] for each in _ENDS}}
    totals |= {"applications": applied, "tickets": opened}
    names = {each.code: (each.name_en, each.name_zh) for each in catalog.departments.values()}
    names |= {code: (each.name_en, each.name_zh) for code, each in bundle.purposes.items()}
    return Transparency(
        month=month,
        totals={name: shown(count) for name, count in totals.items()},
        purposes={code: shown(found.purposes[code]) for code in bundle.purposes},
        asking={code: shown(found.asking[code]) for code in catalog.departments},
        providing={code: shown(found.providing[code]) for code in catalog.departments},
        rules={rule: shown(n) for rule, n in sorted(found.rules.items()) if n >= SMALL},
        names=names,
    )


def plain(page: Transparency) -> dict[str, object]:
    """Return the page JSON-ready."""
    return {
        "format": "middleplatform-transparency/v1", "month": page.month, "small": SMALL,
        "totals": dict(page.totals), "purposes": dict(page.purposes), "asking": dict(page.asking),
        "providing": dict(page.providing), "rules": dict(page.rules),
        "names": {code: {"en": en, "zh": zh} for code, (en, zh) in page.names.items()},
    }  # fmt: skip


_TOTALS = {
    "questions": ("questions", "提问"), "released": ("answered", "已发布"), "refused": ("refused", "已拒绝"),
    "failed": ("failed", "失败"), "applications": ("applications for data", "共享申请"),
    "tickets": ("objections and corrections", "异议与校核"),
}  # fmt: skip


def as_html(page: Transparency) -> str:
    """Return the page in both languages: no script, nothing loaded from elsewhere."""
    sections: tuple[tuple[str, str, Mapping[str, str], Mapping[str, tuple[str, str]]], ...] = (
        ("Totals", "总数", page.totals, _TOTALS),
        ("Questions by purpose", "按使用目的", page.purposes, page.names),
        ("Questions by department", "按提问部门", page.asking, page.names),
        ("Answers by department that provided data", "按数据提供部门", page.providing, page.names),
        ("Refusals by rule", "按拒绝规则", page.rules, {}),
    )
    told = (
        f"<p>{html.escape(page.month)}。计数小于 {SMALL} 的一律显示为“&lt;{SMALL}”（含零），其余向下取整到 {SMALL}；"
        f"未列出的规则均小于 {SMALL} 次。<br>Counts below {SMALL}, zero included, are shown as "
        f"“&lt;{SMALL}”; others are rounded down to {SMALL}. Rules that are not listed were below.</p>\n"
    )
    parts = [_section(*each) for each in sections]
    head = sheet("透明度报告 · Transparency report", told + "".join(parts))
    return head + "</main>\n</body>\n</html>\n"


def _section(
    english: str, chinese: str, counts: Mapping[str, str], names: Mapping[str, tuple[str, str]]
) -> str:
    rows = ((_named(code, names), count) for code, count in counts.items())
    head = ("事项 · item", "次数 · count")
    return f"<h2>{chinese} · {english}</h2>\n" + table(head, rows)


def _named(code: str, names: Mapping[str, tuple[str, str]]) -> str:
    english, chinese = names.get(code, ("", ""))
    return f"{chinese} · {english}" if english or chinese else code
