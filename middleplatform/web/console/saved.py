"""What a person asked before, keeps for again, and may still spend."""

from fastapi import FastAPI, Request, Response

from middleplatform.access.shapes import budgets as budgets_shape
from middleplatform.audit.own import own_questions
from middleplatform.errors import QueryError
from middleplatform.gateway.budgets import budgets
from middleplatform.governance.notebook import Draft
from middleplatform.web.console import pages
from middleplatform.web.console.ask import Question
from middleplatform.web.console.catalog import ASKERS
from middleplatform.web.console.forms import form_of
from middleplatform.web.console.listing import SIZE, Listing, listed, number_of
from middleplatform.web.services import services_of

__all__ = ["register"]

_PAGE = 25
_OUTCOMES = {
    "released": ("good", ("answered", "已应答")), "refused": ("warn", ("refused", "已拒绝")),
    "failed": ("bad", ("failed", "失败")), "": ("muted", ("no end yet", "尚无结果")),
}  # fmt: skip


_ENTRIES = (
    pages.Entry(
        "/console/history", ("History", "历史"),
        ("What you asked, and what became of it.", "您提出过的查询及其结果。"), ASKERS, place=30,
    ),
    pages.Entry(
        "/console/saved", ("Saved questions", "已保存查询"),
        ("Questions that you keep under a name.", "您命名保存的查询。"), ASKERS, place=31,
    ),
    pages.Entry(
        "/console/budget", ("Budget", "隐私预算"),
        ("What you may still spend on answers with noise.", "差分隐私作答的剩余预算。"), ASKERS, place=32,
    ),
)  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    for entry in _ENTRIES:
        pages.navigate(app, entry)
    for method, path, handler in (
        ("GET", "/console/history", _history),
        ("GET", "/console/saved", _saved),
        ("POST", "/console/saved", _keep),
        ("POST", "/console/saved/{number}/remove", _remove),
        ("GET", "/console/budget", _budget),
    ):
        pages.add(app, method, path, handler, ASKERS)


def _history(request: Request) -> Response:
    subject, log = request.state.subject, request.app.state.gateway.audit
    asked = request.query_params.get("before", "")[:15]
    before = int(asked) if asked.isascii() and asked.isdigit() else None
    found = own_questions(log, subject.id, subject.department, _PAGE, before)
    questions = found.questions
    return pages.render(
        request,
        "analyst/history.html",
        rows=Listing(questions, len(questions), size=max(len(questions), 1)),
        before=found.before,
        newest=before is None,
        outcomes=_OUTCOMES,
        purposes=request.app.state.gateway.bundle.purposes,
    )


def _saved(request: Request) -> Response:
    found = services_of(request).notebook.listed(request.state.subject)
    return pages.render(
        request,
        "analyst/saved.html",
        rows=listed(request, found, lambda each: f"{each.name} {each.sql} {each.purpose}"),
        purposes=request.app.state.gateway.bundle.purposes,
    )


def _keep(request: Request) -> Response:
    form = form_of(request)
    question = Question.of(form)
    draft = Draft(
        form.one("name"), question.sql, question.purpose, question.project, question.noise,
        strict=question.strict,
    )  # fmt: skip
    services_of(request).notebook.keep(draft, request.state.subject)
    return pages.redirect(request, "/console/saved", ("The question is saved.", "查询已保存。"))


def _remove(request: Request) -> Response:
    number = request.path_params["number"]
    if not (number.isascii() and number.isdigit() and len(number) <= 9):  # noqa: PLR2004 - far more than there are
        raise QueryError("Q041", what=("such saved question", "该已保存查询"))
    services_of(request).notebook.remove(int(number), request.state.subject)
    return pages.redirect(request, "/console/saved", ("The question is removed.", "已移除该查询。"))


async def _budget(request: Request) -> Response:
    gateway, subject = request.app.state.gateway, request.state.subject
    project = request.query_params.get("project", "")[:100]
    number = number_of(request)
    found = await budgets(gateway, subject, project, (number - 1) * SIZE, SIZE)
    pages_there = Listing((), found.total, size=SIZE).pages
    if number > pages_there:
        number = pages_there
        found = await budgets(gateway, subject, project, (number - 1) * SIZE, SIZE)
    told = budgets_shape(found)
    return pages.render(
        request,
        "analyst/budget.html",
        rows=Listing(told["budgets"], found.total, number, SIZE),  # type: ignore[arg-type]  # a list
        missing=told["missing"],
        project=project,
        projects=[*gateway.bundle.limits.projects],
        department=subject.department,
    )
