"""The endpoints of objections and corrections (decree 809 art. 26): one for each act.

Spec: docs/spec/accountability.md, "Tickets".
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Request, Response

from middleplatform.accountability import ticket_acts
from middleplatform.accountability.ticket_desk import TicketDesk, number_of, told
from middleplatform.accountability.tickets import Event, Ticket
from middleplatform.accountability.tickets import Subject as About
from middleplatform.governance.terms import Rules
from middleplatform.model.request import Subject
from middleplatform.web import bodies_account as bodies
from middleplatform.web.bodies_policy import ReasonBody
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Route, governed, json_reply, page

__all__ = ["ROUTES"]

_Number = Annotated[str, Path(pattern=r"^YY[0-9]{1,9}$", description="As YY7.")]
_Make = Callable[[Ticket, Subject, datetime, Rules], Event]


def _reply(desk: TicketDesk, ticket: Ticket, status: int = HTTPStatus.OK) -> Response:
    return json_reply(told(ticket, desk.rules, desk.desk.clock.now()), status)


def _do(request: Request, number: str, make: _Make) -> Response:
    desk, who = governed(request).tickets(), subject_of(request)
    ticket = desk.act(
        number_of(number), who, lambda ticket, now: make(ticket, who, now, desk.rules)
    )
    return _reply(desk, ticket)


def list_tickets(
    request: Request,
    overdue: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """List the tickets that you may see, oldest first."""
    desk = governed(request).tickets()
    found = desk.listed(subject_of(request), overdue=overdue)
    shown, following = page(found, lambda each: number_of(each.number), after, limit)
    now = desk.desk.clock.now()
    return json_reply({
        "tickets": [told(each, desk.rules, now) for each in shown], "next": following,
    })  # fmt: skip


def open_ticket(request: Request, draft: bodies.TicketDraft) -> Response:
    """Object to data, or ask for its correction; the provider answers within ten working days."""
    desk = governed(request).tickets()
    about = About(draft.dataset, draft.column, -1 if draft.release is None else draft.release)
    made = desk.open(draft.kind, about, draft.text, subject_of(request))
    answer = _reply(desk, made, HTTPStatus.CREATED)
    answer.headers["Location"] = f"/v1/tickets/{made.number}"
    return answer


def show_ticket(request: Request, ticket: _Number) -> Response:
    """Give one ticket with its term."""
    desk = governed(request).tickets()
    return _reply(desk, desk.show(number_of(ticket), subject_of(request)))


def take_ticket(request: Request, ticket: _Number) -> Response:
    """Begin to verify, as the provider."""
    return _do(request, ticket, lambda one, who, now, _: ticket_acts.take(one, who, now))


def extend_ticket(request: Request, ticket: _Number, given: bodies.TicketExtension) -> Response:
    """Give the provider more time, as data bureau, where the regulation knows an extension."""
    return _do(
        request,
        ticket,
        lambda one, who, now, rules: ticket_acts.extend(
            one, given.days, given.reason, who, now, rules
        ),
    )


def answer_ticket(request: Request, ticket: _Number, given: bodies.TicketAnswer) -> Response:
    """Say what was verified and corrected, or why nothing is."""
    return _do(
        request,
        ticket,
        lambda one, who, now, _: ticket_acts.answer(
            one, given.outcome, given.text, given.basis, who, now
        ),
    )


def reopen_ticket(request: Request, ticket: _Number, given: ReasonBody) -> Response:
    """Contradict an answer: the term begins anew."""
    return _do(
        request,
        ticket,
        lambda one, who, now, _: ticket_acts.reopen(one, given.reason, who, now),
    )


def close_ticket(request: Request, ticket: _Number, given: bodies.SayingBody) -> Response:
    """End an answered ticket."""
    return _do(
        request, ticket, lambda one, who, now, _: ticket_acts.close(one, who, now, given.text)
    )


def withdraw_ticket(request: Request, ticket: _Number, given: ReasonBody) -> Response:
    """Take a ticket back before it is answered."""
    return _do(
        request,
        ticket,
        lambda one, who, now, _: ticket_acts.withdraw(one, given.reason, who, now),
    )


_ACTS: Mapping[str, Callable[..., Response]] = {
    "take": take_ticket,
    "extend": extend_ticket,
    "answer": answer_ticket,
    "reopen": reopen_ticket,
    "close": close_ticket,
    "withdraw": withdraw_ticket,
}

ROUTES = (
    Route("GET", "/v1/tickets", list_tickets, bodies.TicketsBody),
    Route("POST", "/v1/tickets", open_ticket, bodies.TicketBody, HTTPStatus.CREATED),
    Route("GET", "/v1/tickets/{ticket}", show_ticket, bodies.TicketBody),
    *(
        Route("POST", f"/v1/tickets/{{ticket}}/{act}", handler, bodies.TicketBody)
        for act, handler in _ACTS.items()
    ),
)
