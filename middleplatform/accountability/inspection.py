"""A checklist for an inspection 监督检查: separation of duties, the log, retention, terms, the catalogue.

Each check says yes, no, or that nothing can be said, and what it looked at; none of it judges a person.

Spec: docs/spec/accountability.md, "Inspection".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from middleplatform.access.roles import check_person
from middleplatform.accountability.figures import Case, Figures
from middleplatform.accountability.tickets import Ticket, term
from middleplatform.audit.checkpoint import parse_checkpoint
from middleplatform.audit.reader import RETENTION_YEARS_MIN, LogView
from middleplatform.errors import AuditError, QueryError
from middleplatform.governance.terms import Rules, terms
from middleplatform.model.request import Role, person_key

__all__ = ["ADMINISTRATORS", "Check", "Holders", "of_duties", "of_log", "of_terms"]

ADMINISTRATORS = (Role.SYSTEM_ADMINISTRATOR, Role.SECURITY_OFFICER, Role.AUDITOR)
"""系统管理员、安全管理员、审计管理员: three people (GB/T 22239-2019, 8.1.5)."""

Holders = Iterable[tuple[str, frozenset[Role]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the list.

    Attributes:
        code: Stable name.
        what_en: What is checked.
        what_zh: The same.
        good: Whether it holds; None where nothing can be said.
        seen: What was found: numbers, or names of things; never of people.
    """

    code: str
    what_en: str
    what_zh: str
    good: bool | None
    seen: str = ""


def of_log(log: LogView, years: int) -> Iterator[Check]:
    """Yield what there is to check of the log.

    Args:
        log: Recomputed here, all of it.
        years: How long usage records are kept.
    """
    try:
        size, good = log.verify(), True
    except AuditError as error:
        if error.code != "A002":
            raise
        size, good = log.size, False
    yield Check("log", "the audit log verifies", "审计日志校验通过", good, str(size))
    signatures = len(parse_checkpoint(log.checkpoint()).signatures) - 1 if size and good else 0
    yield Check(
        "witness", "its newest checkpoint was cosigned by somebody else", "最新检查点有见证方联署",
        signatures > 0 if size else None, str(signatures),
    )  # fmt: skip
    yield Check(
        "retention", "usage records are kept for three years at least", "使用记录至少保存三年",
        years >= RETENTION_YEARS_MIN, str(years),
    )  # fmt: skip


def of_duties(holders: Holders) -> Iterator[Check]:
    """Yield what there is to check of who holds which role.

    Args:
        holders: Login and roles of every token, or session, that lets somebody in now.
    """
    held = [(person_key(login), roles) for login, roles in holders]
    present = {role for _, roles in held for role in roles}
    missing = [str(role) for role in ADMINISTRATORS if role not in present]
    yield Check(
        "administrators", "system, security and audit administrators are appointed", "系统、安全、审计管理员均已设置",
        not missing if held else None, ", ".join(missing),
    )  # fmt: skip
    conflicts = sum(_conflicts(login, held) for login in dict(held))
    yield Check(
        "separation", "nobody holds roles that exclude each other", "无人同时担任互斥角色",
        not conflicts if held else None, str(conflicts),
    )  # fmt: skip


def _conflicts(login: str, held: list[tuple[str, frozenset[Role]]]) -> bool:
    try:
        for name, roles in held:
            if name == login:
                check_person(login, roles, held)
    except QueryError:
        return True
    return False


def of_terms(
    known: Iterable[Case],
    complaints: Iterable[Ticket],
    found: Iterable[Figures],
    rules: Rules,
    now: datetime,
) -> Iterator[Check]:
    """Yield what there is to check of applications, tickets and the catalogue as of ``now``."""
    late = [
        case.state.number for case in known
        if any(each.met_at is None and each.overdue(now) for each in terms(case.state, rules, now))
    ]  # fmt: skip
    yield Check(
        "applications", "no application is overdue", "无逾期申请", not late, ", ".join(late)
    )
    slow = [each.number for each in complaints if each.pending and term(each, rules).overdue(now)]
    yield Check("tickets", "no objection is overdue", "无逾期异议", not slow, ", ".join(slow))
    figures = list(found)
    stale = [name for each in figures for name in each.stale]
    yield Check(
        "catalogue", "no catalogue entry is stale", "目录均已及时更新", not stale, ", ".join(stale)
    )
    cut = sum(each.refused + each.partly for each in figures)
    based = sum(each.with_basis for each in figures)
    yield Check(
        "refusals",
        "every refusal names a law",
        "不予共享均引用依据",
        cut == based,
        f"{based}/{cut}",
    )
