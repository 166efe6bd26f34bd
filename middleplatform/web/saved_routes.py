"""The endpoints of saved questions: everybody's own, kept and taken away as acts of the log."""

from http import HTTPStatus

from fastapi import Request, Response

from middleplatform.governance.notebook import Draft
from middleplatform.store.saved import Question
from middleplatform.web import bodies_token as bodies
from middleplatform.web.guard import subject_of
from middleplatform.web.replies import After, Limit, Number, Route, governed, json_reply, page

__all__ = ["ROUTES"]

_AT = "/v1/saved"


def list_saved(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """List the questions that you keep."""
    found = sorted(
        governed(request).notebook.listed(subject_of(request)), key=lambda each: each.number
    )
    shown, following = page(found, lambda each: each.number, after, limit)
    return json_reply({"questions": [_shape(each) for each in shown], "next": following})


def save_question(request: Request, draft: bodies.SavedDraft) -> Response:
    """Keep a question under a name; yours of the same name is replaced."""
    notebook, who = governed(request).notebook, subject_of(request)
    number = notebook.keep(Draft(**draft.model_dump()), who)
    return json_reply(_shape(notebook.one(number, who)), HTTPStatus.CREATED)


def show_saved(request: Request, question: Number) -> Response:
    """Give one of your saved questions."""
    return json_reply(_shape(governed(request).notebook.one(question, subject_of(request))))


def remove_saved(request: Request, question: Number) -> Response:
    """Take one of your saved questions away, and give it for the last time."""
    notebook, who = governed(request).notebook, subject_of(request)
    found = notebook.one(question, who)
    notebook.remove(question, who)
    return json_reply(_shape(found))


def _shape(each: Question) -> dict[str, object]:
    return {
        "number": each.number, "name": each.name, "sql": each.sql, "purpose": each.purpose,
        "project": each.project, "noise": each.noise, "strict": each.strict,
        "at": each.saved_at.isoformat(),
    }  # fmt: skip


ROUTES = (
    Route("GET", _AT, list_saved, bodies.SavedListBody),
    Route("POST", _AT, save_question, bodies.SavedBody, HTTPStatus.CREATED),
    Route("GET", f"{_AT}/{{question}}", show_saved, bodies.SavedBody),
    Route("DELETE", f"{_AT}/{{question}}", remove_saved, bodies.SavedBody),
)
