"""The endpoints of applications for data, and of every act on them.

One endpoint an act. Who may do what to which application is judged by ``governance.acts`` and ``stopping``; an
application that the caller may not see is as if there were none.

Spec: docs/spec/grants.md. Decree 809 art. 20, 21, 22, 25, 27 and 28.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Request, Response

from middleplatform.errors import QueryError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer, Event, Lane, Phase, State
from middleplatform.governance.handling import Handling, number_of
from middleplatform.governance.terms import Rules
from middleplatform.governance.timeline import told_history
from middleplatform.governance.told import late, told
from middleplatform.governance.wanting import when
from middleplatform.model.request import Subject
from middleplatform.policy import wishes
from middleplatform.web import bodies_application as bodies
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Route, governed, json_reply, page

__all__ = ["ROUTES"]

_Number = Annotated[str, Path(pattern=r"^GX[0-9]{1,9}$", description="As GX7.")]


def _handling(request: Request) -> Handling:
    return governed(request).handling()


def _reply(handling: Handling, state: State, status: int = HTTPStatus.OK) -> Response:
    made = json_reply(told(state, handling.rules, handling.desk.clock.now()), status)
    if status == HTTPStatus.CREATED:
        made.headers["Location"] = f"/v1/applications/{state.number}"
    return made


# --- applying, and what there is ----------------------------------------------------------------------------------


def apply_for_data(request: Request, wish: bodies.Wish) -> Response:
    """Apply for data; an incomplete file is taken and returned once, with a list."""
    handling = _handling(request)
    state = handling.apply(_raw(wish), subject_of(request), Lane(wish.lane))
    return _reply(handling, state, HTTPStatus.CREATED)


def complete_application(request: Request, number: _Number, wish: bodies.Wish) -> Response:
    """Complete an application that was returned; the steward signs by it."""
    handling = _handling(request)
    return _reply(handling, handling.complete(number_of(number), _raw(wish), subject_of(request)))


def _raw(wish: bodies.Wish) -> Mapping[str, object]:
    said = wish.model_dump(exclude_none=True, exclude={"lane"})
    if not wish.everyone:
        said.pop("everyone")
    return wishes.checked(said)


def list_applications(
    request: Request,
    phase: Phase | None = None,
    overdue: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """List the applications that you may see, oldest first."""
    handling = _handling(request)
    now = handling.desk.clock.now()
    found = [
        each
        for each in handling.listed(subject_of(request))
        if phase in (None, each.phase(now)) and (not overdue or late(each, handling.rules, now))
    ]
    shown, following = page(found, lambda each: number_of(each.number), after, limit)
    return json_reply({
        "applications": [told(each, handling.rules, now) for each in shown], "next": following,
    })  # fmt: skip


def show_application(request: Request, number: _Number) -> Response:
    """Give one application with its terms and grants."""
    handling = _handling(request)
    return _reply(handling, handling.show(number_of(number), subject_of(request)))


def show_history(request: Request, number: _Number) -> Response:
    """Give what happened to one application, with articles, deadlines and working days, and what is to be done."""
    handling, who = _handling(request), subject_of(request)
    state = handling.show(number_of(number), who)
    events = handling.history(number_of(number), who)
    now = handling.desk.clock.now()
    return json_reply(told_history(events, state, handling.rules, now))


# --- acts ---------------------------------------------------------------------------------------------------------


_Make = Callable[[State, Subject, datetime, Rules], Event]
"""Given the newest state, the person, the moment and the deadlines, returns what happens or refuses."""


def _do(request: Request, number: str, make: _Make) -> Response:
    handling, who = _handling(request), subject_of(request)
    state = handling.act(
        number_of(number), who, lambda state, now: make(state, who, now, handling.rules)
    )
    return _reply(handling, state)


def sign_application(request: Request, number: _Number) -> Response:
    """Sign your department's application (art. 20)."""
    return _do(request, number, lambda state, who, now, _: acts.sign(state, who, now))


def return_application(request: Request, number: _Number, given: bodies.MissingBody) -> Response:
    """Return it once, with the list of all that is missing (art. 21)."""
    return _do(
        request, number, lambda state, who, now, _: acts.send_back(state, given.missing, who, now)
    )


def accept_application(request: Request, number: _Number) -> Response:
    """Find it complete: the providers' terms to answer start."""
    return _do(request, number, lambda state, who, now, _: acts.accept(state, who, now))


def extend_answer(request: Request, number: _Number, given: bodies.ExtensionBody) -> Response:
    """Ask for more time for your department's answer, once."""
    return _do(
        request,
        number,
        lambda state, who, now, rules: acts.extend(
            state, given.days, given.reason, who, now, rules
        ),
    )


def consent_extension(request: Request, number: _Number, given: bodies.DepartmentBody) -> Response:
    """Consent, as data bureau, to the extension that a provider asked for."""
    return _do(
        request,
        number,
        lambda state, who, now, rules: acts.consent(state, given.department, who, now, rules),
    )


def answer_application(request: Request, number: _Number, given: bodies.AnswerGiven) -> Response:
    """Answer for your department's columns: all, a part, or nothing of what was applied for."""
    return _do(
        request,
        number,
        lambda state, who, now, _: acts.answer(state, _answer(given, who, state), who, now),
    )


def _answer(given: bodies.AnswerGiven, who: Subject, state: State) -> Answer:
    wanted, part = state.application, state.parts.get(who.department)
    every = part.columns if part is not None else frozenset()
    limits = (given.columns, given.operations, given.regions, given.ends)
    if given.grant != "part" and any(each is not None for each in limits):
        what = ("only a grant in part names what it grants", "仅部分同意时才需列明同意的内容")
        raise QueryError("Q040", what=what)
    if given.grant == "nothing":
        return Answer(frozenset(), frozenset(), (), wanted.ends, given.reason, given.basis)
    return Answer(
        frozenset(every if given.columns is None else given.columns),
        frozenset(wanted.operations if given.operations is None else given.operations),
        wanted.regions if given.regions is None else tuple(sorted(given.regions)),
        wanted.ends if given.ends is None else when(given.ends),
        given.reason,
        given.basis,
    )


def deliver_application(request: Request, number: _Number) -> Response:
    """Say that your node serves what was granted (art. 22)."""
    return _do(request, number, lambda state, who, now, _: acts.deliver(state, who, now))


def approve_application(request: Request, number: _Number) -> Response:
    """Approve an emergency, as security officer or for your department's columns."""
    return _do(request, number, lambda state, who, now, _: stopping.approve(state, who, now))


def suspend_application(request: Request, number: _Number, given: bodies.LawfulBody) -> Response:
    """Stop access at once (art. 27)."""
    return _do(
        request,
        number,
        lambda state, who, now, _: stopping.suspend(state, given.reason, who, now, given.basis),
    )


def resume_application(request: Request, number: _Number, given: bodies.WhyBody) -> Response:
    """End a suspension."""
    return _do(
        request, number, lambda state, who, now, _: stopping.resume(state, given.reason, who, now)
    )


def withdraw_application(request: Request, number: _Number, given: bodies.LawfulBody) -> Response:
    """End it for good (art. 27)."""
    return _do(
        request,
        number,
        lambda state, who, now, _: stopping.withdraw(state, given.reason, who, now, given.basis),
    )


def object_application(request: Request, number: _Number, given: bodies.ObjectionBody) -> Response:
    """Dispute a provider's refusal, lateness or suspension (art. 28)."""
    return _do(
        request,
        number,
        lambda state, who, now, rules: stopping.object_to(
            state, given.department, given.reason, who, now, rules
        ),
    )


def escalate_application(request: Request, number: _Number, given: bodies.WhyBody) -> Response:
    """Take a dispute one step up (art. 28)."""
    return _do(
        request, number, lambda state, who, now, _: stopping.escalate(state, given.reason, who, now)
    )


def settle_application(request: Request, number: _Number, given: bodies.WhyBody) -> Response:
    """End a dispute: by agreement, or by what was decided."""
    return _do(
        request, number, lambda state, who, now, _: stopping.settle(state, given.reason, who, now)
    )


def review_application(request: Request, number: _Number, given: bodies.WhyBody) -> Response:
    """Say, as data bureau, what came of an emergency grant that has ended."""
    return _do(
        request, number, lambda state, who, now, _: stopping.review(state, given.reason, who, now)
    )


_AT = "/v1/applications"
_ACTS: Mapping[str, Callable[..., Response]] = {
    "complete": complete_application,
    "sign": sign_application,
    "return": return_application,
    "accept": accept_application,
    "extend": extend_answer,
    "consent": consent_extension,
    "answer": answer_application,
    "deliver": deliver_application,
    "approve": approve_application,
    "suspend": suspend_application,
    "resume": resume_application,
    "withdraw": withdraw_application,
    "object": object_application,
    "escalate": escalate_application,
    "settle": settle_application,
    "review": review_application,
}

ROUTES = (
    Route("GET", _AT, list_applications, bodies.ApplicationsBody),
    Route("POST", _AT, apply_for_data, bodies.ApplicationBody, HTTPStatus.CREATED),
    Route("GET", f"{_AT}/{{number}}", show_application, bodies.ApplicationBody),
    Route("GET", f"{_AT}/{{number}}/history", show_history, bodies.HistoryBody),
    *(
        Route("POST", f"{_AT}/{{number}}/{act}", handler, bodies.ApplicationBody)
        for act, handler in _ACTS.items()
    ),
)
