"""Who may do what to a ticket, and when: each function gives the event, or refuses. Pure.

Spec: docs/spec/accountability.md, "Tickets". Decree 809 art. 26; 个人信息保护法 art. 46.
"""

from datetime import datetime

from middleplatform.accountability.identities import plain_text
from middleplatform.accountability.tickets import Act, Event, Kind, Outcome, Phase, Ticket, term
from middleplatform.accountability.tickets import Subject as About
from middleplatform.errors import PolicyError, QueryError
from middleplatform.governance.acts import names_law
from middleplatform.governance.terms import Rules
from middleplatform.model.catalog import Catalog
from middleplatform.model.request import Role, Subject, same_person

__all__ = ["REOPENED_MAX", "answer", "close", "extend", "open_ticket", "reopen", "take", "withdraw"]

REOPENED_MAX = 3
"""How often a ticket may be opened again; after that the way is art. 28, by the data bureau."""

_OPENERS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD})


def open_ticket(
    kind: str, about: About, text: str, who: Subject, now: datetime, catalog: Catalog
) -> Event:
    """Open a ticket about data that the catalogue knows.

    Args:
        kind: ``"objection"`` or ``"correction"``.
        about: A dataset, one of its columns, perhaps the release in which it showed (which ``who`` may know).
        text: What is wrong, where; names nobody by number.
        who: An analyst or a steward.
        now: When.
        catalog: What exists.

    Raises:
        PolicyError: P004.
        QueryError: Q020, Q021 there is no such data; Q040 no such kind, no text, or a text with an identity number.
    """
    if not _OPENERS & who.roles:
        raise _not("open a ticket", "提出异议或校核申请")
    _want(kind in set(Kind), "a ticket is an objection or a correction", "类型须为异议或校核申请")
    dataset = catalog.datasets.get(about.dataset)
    if dataset is None:
        raise QueryError("Q021", name=about.dataset)
    owner, _, column = about.column.rpartition(".")
    if about.column and (owner != about.dataset or column not in dataset.columns):
        raise QueryError("Q020", name=about.column)
    said = _text(text)
    _want(bool(said), "a ticket says what is wrong", "须说明异议内容")
    return Event(
        Act.OPENED, now, who.id, who.department, said, kind=kind, department=dataset.owner,
        about=about,
    )  # fmt: skip


def take(ticket: Ticket, who: Subject, now: datetime) -> Event:
    """Have somebody of the provider work on it.

    Raises:
        PolicyError: P004 not the provider's steward.
        QueryError: Q040 it is not open.
    """
    _provider(ticket, who)
    _in(ticket, Phase.OPEN)
    return Event(Act.TAKEN, now, who.id, who.department)


def extend(
    ticket: Ticket, days: int, reason: str, who: Subject, now: datetime, rules: Rules
) -> Event:
    """Add working days, as the data bureau, once, while the term runs, where the regulation knows an extension.

    Raises:
        PolicyError: P004 not the data bureau.
        QueryError: Q040 the regulation knows none, too many days, no reason, extended before, or the term is over.
    """
    if Role.DATA_BUREAU not in who.roles:
        raise _not("extend a ticket's term", "延长办理期限")
    _in(ticket, Phase.OPEN, Phase.TAKEN)
    deadline = rules.regulation.deadlines["correct"]
    most = deadline.extension
    _want(most > 0, f"{deadline.article} knows no extension", f"{deadline.article}未规定延期")
    _want(
        1 <= days <= most,
        f"an extension has 1 to {most} working days",
        f"延期为 1 至 {most} 个工作日",
    )
    said = _text(reason)
    _want(bool(said), "an extension needs a reason", "延期须说明理由")
    _want(not ticket.extended_days, "it was extended already", "已延期一次")
    _want(not term(ticket, rules).overdue(now), "the term is over", "办理期限已过")
    return Event(Act.EXTENDED, now, who.id, who.department, said, days=days)


def answer(
    ticket: Ticket, outcome: str, text: str, basis: str, who: Subject, now: datetime
) -> Event:
    """Say what was verified and corrected, or why nothing is.

    Args:
        ticket: Taken by the provider.
        outcome: Of ``Outcome``.
        text: In words; names nobody by number.
        basis: What it rests on: for anything but a correction the law.
        who: The provider's steward.
        now: When.

    Raises:
        PolicyError: P004.
        QueryError: Q040 it was not taken, no such outcome, no text, no basis, or an identity number in a text.
    """
    _provider(ticket, who)
    _in(ticket, Phase.TAKEN)
    _want(outcome in set(Outcome), "the outcome is corrected, partly or unfounded",
          "结论须为已更正、部分更正或不成立")  # fmt: skip
    said, law = _text(text), plain_text(basis, ("basis", "依据"))
    _want(bool(said and law), "an answer needs words and a basis", "答复须写明内容与依据")
    lawful = outcome == Outcome.CORRECTED or names_law(law)
    _want(
        lawful, "not correcting everything needs the law it rests on", "未全部更正的须引用法律依据"
    )
    return Event(Act.ANSWERED, now, who.id, who.department, said, law, outcome=outcome)


def reopen(ticket: Ticket, text: str, who: Subject, now: datetime) -> Event:
    """Contradict an answer: the term begins anew.

    Raises:
        PolicyError: P004 not of the side that opened it.
        QueryError: Q040 it is not answered, no reason, or it was opened again too often.
    """
    _opener(ticket, who)
    _in(ticket, Phase.ANSWERED)
    said = _text(text)
    _want(bool(said), "it needs a reason", "须说明理由")
    often = ticket.reopened < REOPENED_MAX
    _want(often, "it was opened again too often: go to the data bureau (art. 28)",
          "多次提出异议，请按条例第28条提请主管部门协调")  # fmt: skip
    return Event(Act.REOPENED, now, who.id, who.department, said)


def close(ticket: Ticket, who: Subject, now: datetime, text: str = "") -> Event:
    """End an answered ticket: the side that opened it, or the data bureau.

    Raises:
        PolicyError: P004.
        QueryError: Q040 it is not answered.
    """
    if Role.DATA_BUREAU not in who.roles:
        _opener(ticket, who)
    _in(ticket, Phase.ANSWERED)
    return Event(Act.CLOSED, now, who.id, who.department, _text(text))


def withdraw(ticket: Ticket, reason: str, who: Subject, now: datetime) -> Event:
    """Take it back before it is answered.

    Raises:
        PolicyError: P004.
        QueryError: Q040 it is answered or over, or no reason.
    """
    _opener(ticket, who)
    _in(ticket, Phase.OPEN, Phase.TAKEN)
    said = _text(reason)
    _want(bool(said), "it needs a reason", "须说明理由")
    return Event(Act.WITHDRAWN, now, who.id, who.department, said)


def _text(text: str) -> str:
    return plain_text(text, ("text", "文字"))


def _provider(ticket: Ticket, who: Subject) -> None:
    if Role.DEPARTMENT_STEWARD not in who.roles or who.department != ticket.department:
        department = ticket.department
        raise _not(f"act as steward of {department}", f"以 {department} 共享工作机构负责人身份操作")


def _opener(ticket: Ticket, who: Subject) -> None:
    steward = Role.DEPARTMENT_STEWARD in who.roles and who.department == ticket.opened_for
    mine = same_person(who.id, ticket.opened_by) and who.department == ticket.opened_for
    if not steward and not mine:
        raise _not("act for the side that opened it", "代提出方操作")


def _in(ticket: Ticket, *phases: Phase) -> None:
    _want(
        ticket.phase in phases, f"the ticket is {ticket.phase}", f"该工单当前状态为 {ticket.phase}"
    )


def _want(good: bool, english: str, chinese: str) -> None:  # noqa: FBT001 - a condition and what is said without it
    if not good:
        raise QueryError("Q040", what=(english, chinese))


def _not(english: str, chinese: str) -> PolicyError:
    return PolicyError("P004", what=(english, chinese))
