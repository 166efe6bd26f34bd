"""The proof checker: what somebody holds, checked against the log, with the step that breaks in words.

Spec: docs/spec/audit-log.md, "Checking in words".
"""

from fastapi import FastAPI, Request, Response

from middleplatform.accountability.checking import Checked, checked
from middleplatform.web.console import pages
from middleplatform.web.console.forms import form_of
from middleplatform.web.console.log import AUDITORS, index_in, log_of

__all__ = ["register"]

_HOME = "/console/audit/proof"


def register(app: FastAPI) -> None:
    """Add the page."""
    pages.add(app, "GET", _HOME, _show, AUDITORS)
    pages.add(app, "POST", _HOME, _check, AUDITORS)
    pages.navigate(app, pages.Entry(
        _HOME, ("Proof checker", "证明校验"),
        ("Is this receipt, report or checkpoint what the log says?", "回执、报告、检查点与日志是否一致。"),
        AUDITORS, place=11,
    ))  # fmt: skip


def _show(request: Request) -> Response:
    """Show the form; of an entry named in the address, what comes of it."""
    index = index_in(request.query_params.get("entry", ""))
    given = "" if index is None else str(index)
    return _page(request, given, checked(log_of(request), given) if given else None)


def _check(request: Request) -> Response:
    given = form_of(request).text("given")
    return _page(request, given, checked(log_of(request), given))


def _page(request: Request, given: str, found: Checked | None) -> Response:
    return pages.render(request, "audit/proof.html", given=given, found=found)
