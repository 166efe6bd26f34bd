"""The console as a whole: every area registers its pages here."""

from collections.abc import Iterable
from types import ModuleType

from fastapi import FastAPI

from middleplatform.web.console import (
    administration,
    answering,
    answers,
    applying,
    approved,
    ask,
    catalog,
    classification,
    conduct,
    department,
    drafting,
    errors,
    home,
    log,
    login,
    pages,
    policy,
    proofs,
    receipts,
    saved,
    simulate,
    stops,
    testing,
    tickets,
    usage,
    who_got_what,
)
from middleplatform.web.console.static_files import PREFIX

__all__ = ["register"]

_AREAS = (
    home,
    login,
    catalog,
    ask,
    approved,
    answers,
    saved,
    applying,
    policy,
    drafting,
    simulate,
    testing,
    stops,
    classification,
    answering,
    tickets,
    log,
    proofs,
    who_got_what,
    conduct,
    usage,
    receipts,
    administration,
    department,
)
"""Modules with ``register(app)``."""


def register(app: FastAPI, areas: Iterable[ModuleType] = _AREAS) -> None:
    """Add the console, or some of its areas, to an application that has their services."""
    console = app.state.console = pages.Console()
    app.state.error_page = errors.error_page
    app.router.add_route(
        PREFIX + "{name}", console.files.serve, methods=["GET"], include_in_schema=False
    )
    for area in areas:
        area.register(app)
