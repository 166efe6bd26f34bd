"""Asking in the browser: the editor with what it is told, the picture of what would happen, and the question itself.

Statements are sent in bodies, never in addresses: those stand in browsers' histories and proxies' logs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from middleplatform.audit.own import own_question
from middleplatform.errors import QueryError
from middleplatform.gateway import Gateway
from middleplatform.model.advice import Advice
from middleplatform.model.budget import POLICY
from middleplatform.model.request import QueryRequest, Subject, same_person
from middleplatform.policy.entitled import purposes_of
from middleplatform.policy.templates import offers
from middleplatform.web.console import pages
from middleplatform.web.console.catalog import ASKERS
from middleplatform.web.console.completion import completions, diagnostics, form_body
from middleplatform.web.console.diagram import outline, picture
from middleplatform.web.console.faults import reasons_told, underlined
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.jobs import JobTable
from middleplatform.web.services import services_of

__all__ = ["Question", "open_question", "register"]

_NAME_MAX = 200


@dataclass(frozen=True, slots=True)
class Question:
    """The fields of the form.

    Attributes:
        sql: The statement.
        purpose: Code.
        project: Empty for the department's own.
        noise: Empty, ``policy``, or a fraction.
        strict: Refuse instead of rewriting.
        sealed_for: Id of a published key of the person's, or empty.
    """

    sql: str = ""
    purpose: str = ""
    project: str = ""
    noise: str = ""
    strict: bool = False
    sealed_for: str = ""

    @classmethod
    def of(cls, form: Form) -> "Question":
        """Return what a form says."""
        plain = {
            name: form.one(name)[:_NAME_MAX]
            for name in ("purpose", "project", "noise", "sealed_for")
        }
        return cls(form.text("sql"), strict=form.ticked("strict"), **plain)

    def request(self, gateway: Gateway, subject: Subject) -> QueryRequest:
        """Return the question as the gateway takes it.

        Raises:
            QueryError: Q040 a noise that is none.
        """
        return gateway.request(
            self.sql, subject, self.purpose, project=self.project, strict=self.strict,
            sealed_for=self.sealed_for, noise=self.noise,
        )  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages of asking."""
    pages.navigate(
        app,
        pages.Entry(
            "/console/ask",
            ("Ask", "查询"),
            (
                "Write a question, see what would happen to it, and have it answered.",
                "编写查询，预览其处理过程，并获取结果。",
            ),
            ASKERS,
            place=20,
        ),
    )
    for method, path, handler in (
        ("GET", "/console/ask", _page),
        ("POST", "/console/ask", _submit),
        ("POST", "/console/ask/open", _open),
        ("POST", "/console/ask/explain", _explain),
        ("POST", "/console/ask/check", _check),
        ("GET", "/console/ask/completions", _completions),
    ):
        pages.add(app, method, path, handler, ASKERS)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


# --- the form -----------------------------------------------------------------------------------------------------


def _page(request: Request) -> Response:
    """Show the form: empty, or with a saved question or one of the history."""
    subject, asked = request.state.subject, request.query_params
    kept = asked.get("saved", "")[:9]
    if kept.isascii() and kept.isdigit():
        found = services_of(request).notebook.one(int(kept), subject)
        return open_question(
            request,
            Question(found.sql, found.purpose, found.project, found.noise, found.strict),
            name=found.name,
        )
    entry = asked.get("entry", "")[:15]
    if entry.isascii() and entry.isdigit():
        old = own_question(_gateway(request).audit, subject.id, subject.department, int(entry))
        return open_question(
            request, Question(old.sql, old.purpose, old.project, old.noise, old.strict)
        )
    return open_question(request, Question())


def _open(request: Request) -> Response:
    """Show the form with what another page sends: the form that would pass, a sample."""
    return open_question(request, Question.of(form_of(request)))


def open_question(
    request: Request, question: Question, *, name: str = "", status: int = 200, **more: object
) -> Response:
    """Return the page with the form.

    Args:
        request: The page's.
        question: What stands in it.
        name: Of a saved question.
        status: HTTP status.
        more: What else the template shows: ``advice`` with its parts.
    """
    subject, gateway = request.state.subject, _gateway(request)
    bundle = gateway.rules()
    purposes = [bundle.purposes[code] for code in purposes_of(bundle, subject)]
    place = 1 if pages.locale(request) == "zh" else 0
    keys = _keys(gateway, subject)
    values: dict[str, object] = {
        "question": question,
        "name": name,
        "purposes": [(each.code, (each.name_en, each.name_zh)[place]) for each in purposes],
        "projects": [("", _OWN[place]), *((each, each) for each in bundle.limits.projects)],
        "noises": [("", _EXACT[place]), (POLICY, _NOISY[place])],
        "keys": [("", _PLAIN[place]), *((each, f"{each[:12]}…") for each in keys)],
        "templates": offers(bundle, subject, gateway.clock.now())[:_TEMPLATES_SHOWN],
        "advice": None,
    }
    return pages.render(request, "analyst/ask.html", status=status, **{**values, **more})


_TEMPLATES_SHOWN = 5
"""Beside the editor; all of them have a page of their own."""
_OWN = ("my department's own", "本部门项目")
_EXACT = ("as policy says", "按策略规定")
_NOISY = ("with differential privacy", "以差分隐私方式作答")
_PLAIN = ("not sealed", "不密封")


def _keys(gateway: Gateway, subject: Subject) -> list[str]:
    """Return the ids of the person's published keys that still serve."""
    if gateway.sealing is None:
        return []
    own = gateway.sealing.listed()
    return [
        each.id
        for each in own
        if same_person(each.login, subject.id)
        and each.department == subject.department
        and not each.revoked_at
    ]


# --- what would happen --------------------------------------------------------------------------------------------


async def _check(request: Request) -> Response:
    """Say what is wrong with a statement, while somebody types."""
    question, subject = Question.of(form_of(request)), request.state.subject
    locale, gateway = pages.locale(request), _gateway(request)
    async with request.app.state.checks.one(subject):
        asked, found = await asyncio.to_thread(_advised, gateway, question, subject)
    return JSONResponse(diagnostics(asked, found, locale))


def _advised(gateway: Gateway, question: Question, subject: Subject) -> tuple[QueryRequest, Advice]:
    asked = question.request(gateway, subject)
    return asked, gateway.advise(asked)


async def _explain(request: Request) -> Response:
    """Show what would happen to a question; nothing is run."""
    question = Question.of(form_of(request))
    gateway, subject, locale = _gateway(request), request.state.subject, pages.locale(request)
    async with request.app.state.checks.one(subject):
        asked, found = await asyncio.to_thread(_advised, gateway, question, subject)
    shown = _shown(gateway, asked, found, locale)
    name = "analyst/explained.html" if "hx-request" in request.headers else ""
    if name:
        return pages.render(request, name, question=question, advice=found, **shown)
    return await asyncio.to_thread(lambda: open_question(request, question, advice=found, **shown))


def _shown(gateway: Gateway, asked: QueryRequest, found: Advice, locale: str) -> Mapping[str, Any]:
    place = 1 if locale == "zh" else 0
    explanation = found.explanation
    told = reasons_told(explanation.reasons, asked, gateway, locale)
    form = None if found.form is None else {
        "question": asked_as(found.form.request),
        **form_body(asked, found.form, place),
    }  # fmt: skip
    if explanation.verdict != "permit":
        marked = underlined(asked.sql, explanation.reasons)
        return {"form": form, "told": told, "marked": marked, "outline": None, "drawn": ""}
    sketch = outline(explanation, gateway.catalog, locale)
    title = ("What happens to this question", "该查询的处理过程")[place]
    drawn = picture(sketch, title, locale)
    return {"form": None, "told": told, "marked": "", "outline": sketch, "drawn": drawn}


def asked_as(request: QueryRequest) -> Question:
    """Return a question's fields from what the gateway took."""
    own = "" if request.project == request.subject.department else request.project
    return Question(
        request.sql, request.purpose, own, request.noise, request.strict, request.sealed_for
    )


async def _completions(request: Request) -> Response:
    gateway, subject, locale = _gateway(request), request.state.subject, pages.locale(request)

    def made() -> dict[str, object]:
        return completions(gateway.catalog, gateway.rules(), subject, gateway.clock, locale)

    return JSONResponse(await asyncio.to_thread(made))


# --- asking -------------------------------------------------------------------------------------------------------


async def _submit(request: Request) -> Response:
    """Take the question; its page shows how far it is."""
    question = Question.of(form_of(request))
    if not question.sql.strip():
        raise QueryError("Q040", what=("there is no statement", "没有查询语句"))
    asked = question.request(_gateway(request), request.state.subject)
    table: JobTable = request.app.state.jobs
    job = table.submit(asked)
    await table.accepted(job)
    return pages.redirect(request, f"/console/answers/{job.id}")
