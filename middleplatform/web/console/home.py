"""The first page: what a person can do here, by role, and what waits for them."""

from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from middleplatform.web.console import pages

__all__ = ["register"]


@dataclass(frozen=True, slots=True)
class Card:
    """A way on.

    Attributes:
        entry: Where it leads.
        waiting: How many things wait there; None where nothing ever waits.
    """

    entry: pages.Entry
    waiting: int | None


def register(app: FastAPI) -> None:
    """Add the home page and the switch of languages."""
    pages.add(app, "GET", "/console", _home, pages.ALL)
    pages.add(app, "GET", "/console/language/{locale}", _language, None)


def _home(request: Request) -> Response:
    found = pages.entries_of(request, request.state.subject)
    cards = [Card(each, each.waiting(request) if each.waiting else None) for each in found]
    return pages.render(request, "home.html", cards=cards)


def _language(request: Request) -> Response:
    """Remember the language and go back to where the person was."""
    made = pages.redirect(request, pages.back(request))
    wanted = request.path_params["locale"]
    if wanted in pages.LOCALES:
        made.set_cookie("language", wanted, max_age=31_536_000, path="/console", samesite="lax")
    return made
