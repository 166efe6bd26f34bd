"""The first page: what a person can do here, by role, and what waits for them."""

from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from middleplatform.errors import MiddleplatformError
from middleplatform.web.console import pages

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class Card:
    """A way on.

    Attributes:
        entry: Where it leads.
        waiting: How many things wait there; None where nothing ever does, or it cannot say.
    """

    entry: pages.Entry
    waiting: int | None


def register(app: FastAPI) -> None:
    """Add the home page and the switch of languages."""
    pages.add(app, "GET", "/console", _home, pages.ALL)
    pages.add(app, "GET", "/console/language/{locale}", _language, None)


def _home(request: Request) -> Response:
    found = pages.entries_of(request, request.state.subject)
    cards = [Card(each, _waiting(request, each)) for each in found]
    cards.sort(
        key=lambda card: not card.waiting
    )  # what waits comes first; else the navigation's order
    return pages.render(request, "home.html", cards=cards, department=_department(request))


def _waiting(request: Request, entry: pages.Entry) -> int | None:
    """Return how many things wait at ``entry``; None where it cannot say, which its own page will."""
    try:
        return None if entry.waiting is None else entry.waiting(request)
    except MiddleplatformError:
        return None


def _department(request: Request) -> pages.Pair:
    """Return the name of the person's department; its code where the catalogue does not know it."""
    code = request.state.subject.department
    gateway = getattr(request.app.state, "gateway", None)
    found = None if gateway is None else gateway.catalog.departments.get(code)
    return (code, code) if found is None else (found.name_en, found.name_zh)


def _language(request: Request) -> Response:
    """Remember the language and go back to where the person was."""
    made = pages.redirect(request, pages.back(request))
    wanted = request.path_params["locale"]
    if wanted in pages.LOCALES:
        made.set_cookie("language", wanted, max_age=31_536_000, path="/console", samesite="lax")
    return made
