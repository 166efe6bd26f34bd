"""Approved query templates in the browser: which are open to a person, and one click from one to the editor."""

from fastapi import FastAPI, Request, Response

from middleplatform.access.offered import example
from middleplatform.errors import QueryError
from middleplatform.policy.templates import Offer, offers
from middleplatform.web.console import pages
from middleplatform.web.console.ask import Question, open_question
from middleplatform.web.console.catalog import ASKERS
from middleplatform.web.console.forms import form_of
from middleplatform.web.console.listing import listed

__all__ = ["register"]


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(
        app,
        pages.Entry(
            "/console/templates",
            ("Approved templates", "获批模板"),
            (
                "Questions that are approved already: no application is needed.",
                "已获批准的查询：无需申请即可使用。",
            ),
            ASKERS,
            place=21,
        ),
    )
    pages.add(app, "GET", "/console/templates", _page, ASKERS)
    pages.add(app, "POST", "/console/ask/template", _take, ASKERS)


def _page(request: Request) -> Response:
    """List the templates that are open to who is here."""
    found = _open(request)
    return pages.render(
        request, "analyst/templates.html", rows=listed(request, found, _words), total=len(found)
    )


def _words(offer: Offer) -> str:
    found = offer.template
    return f"{found.name} {found.title_en} {found.title_zh} {found.sql}"


def _take(request: Request) -> Response:
    """Show the form of asking with a template's statement, filled with the literals that were chosen."""
    form = form_of(request)
    name = form.one("template")
    offer = next((each for each in _open(request) if each.template.name == name), None)
    if offer is None:
        raise QueryError("Q041", what=("such template", "该查询模板"))
    chosen = {each: form.one(f"{name}.{each}") for each, _ in offer.template.parameters}
    return open_question(request, Question(example(offer, chosen), offer.purposes[0].code))


def _open(request: Request) -> tuple[Offer, ...]:
    gateway = request.app.state.gateway
    return offers(gateway.rules(), request.state.subject, gateway.clock.now())
