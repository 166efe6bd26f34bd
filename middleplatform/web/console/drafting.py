"""Drafts of policy in the console: files in a form, checked while they are written, tested, and sent as a proposal.

A draft lives in the page alone: nothing is kept of it before it is proposed.

Spec: docs/spec/policy-lifecycle.md.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response

from middleplatform.errors import ConfigError, QueryError
from middleplatform.governance import drafts, line_ends
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.model.catalog import Catalog
from middleplatform.web.checks import few
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import Listing
from middleplatform.web.console.policy import OFFICERS, number_of, said_changes
from middleplatform.web.services import services_of
from middleplatform.web.simulations import Trial

__all__ = ["base_of", "draft_page", "register", "sent_files"]

_AT = "/console/policy/draft"
_CHANGES_MAX = 100
_DIGITS_MAX = 10
_LATER = (
    "another version came into force since this draft was begun: compare once more, then propose",
    "起草之后已有其他版本生效：请重新比较后再提出",
)


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.add(app, "GET", _AT, few(_draft, "drafts"), OFFICERS)
    for act, handler in (("files", _files), ("check", _check), ("propose", _propose)):
        pages.add(app, "POST", f"{_AT}/{act}", few(handler, "drafts"), OFFICERS)


def draft_page(
    request: Request,
    files: Mapping[str, str],
    *,
    reason: str = "",
    open_file: str = "",
    status: int = HTTPStatus.OK,
    **values: Any,  # noqa: ANN401 - for the template
) -> Response:
    """Return the page on which ``files`` can be changed, checked and sent.

    Args:
        request: The page's.
        files: Text by name.
        reason: Typed so far.
        open_file: Name of the file that is shown at once.
        status: Of the answer.
        values: For the template: ``spots`` or ``tried``; without, the files are checked. What a simulation was to be
            (``trial``), and what was ``wrong`` with it or kept it from beginning (``refusal``). What was done
            (``told``, English and Chinese), and the ``column`` that is offered for classification next. The version
            that it is compared with (``base``).
    """
    lifecycle = services_of(request).lifecycle
    shown: dict[str, Any] = {
        "tried": None, "changes": None, "spots": None, "trial": _trial(request), "wrong": {}, "refusal": None,
        "told": None, "column": "", "base": base_of(request),
    } | values  # fmt: skip
    if shown["spots"] is None and shown["tried"] is None:
        shown["spots"] = drafts.spots(files, lifecycle)
    return pages.render(
        request, "policy/draft.html", status=status,
        files=sorted(files.items()), reason=reason, open_file=open_file, columns=_columns(lifecycle.catalog),
        **shown,
    )  # fmt: skip


def base_of(request: Request) -> str:
    """Return the number of the version that was in force when the draft was begun: as its form says, else now's."""
    form: Form | None = getattr(request.state, "form", None)
    said = "" if form is None else form.one("base")[:_DIGITS_MAX]
    return said or str(_lifecycle(request).compared().number)


def _trial(request: Request) -> Trial:
    """Return what was typed of a simulation in the form that was sent, if one was: other acts keep it."""
    form: Form | None = getattr(request.state, "form", None)
    return Trial() if form is None else Trial().over(form.one("window"), form.one("now"))


def _columns(catalog: Catalog) -> list[str]:
    """Return every column that can be classified, as ``"department.table.column"``."""
    return [
        f"{name}.{key}" for name, each in sorted(catalog.datasets.items()) for key in each.columns
    ]


def _lifecycle(request: Request) -> Lifecycle:
    return services_of(request).lifecycle


def _draft(request: Request) -> Response:
    lifecycle = _lifecycle(request)
    asked = request.query_params
    version, proposal = (number_of(asked.get(name, "0")) for name in ("version", "proposal"))
    if version:
        return draft_page(request, lifecycle.files(version))
    if proposal:
        return draft_page(request, lifecycle.proposed(proposal))
    return draft_page(request, drafts.files_in_force(lifecycle, services_of(request).settings))


def sent_files(form: Form) -> dict[str, str]:
    """Return the files of a form, without those that were ticked for removal.

    Raises:
        QueryError: Q040 a name without a text, or a name twice.
    """
    names, texts = form.values.get("name", []), form.values.get("text", [])
    pairs = list(zip(names, (each.replace("\r\n", "\n") for each in texts), strict=False))
    if len(names) != len(texts) or len(set(names)) != len(names):
        raise QueryError("Q040", what=("a file has one name and one text", "文件的名称与内容须一一对应"))  # fmt: skip
    gone = set(form.many("remove"))
    return {name: text for name, text in pairs if name not in gone}


def _files(request: Request) -> Response:
    form = form_of(request)
    files, added = sent_files(form), form.one("added")
    if added:
        if not added.endswith((".yaml", ".yml")) or "/" in added or added in files:
            what = ("a new file has a new name that ends in .yaml", "新文件名须以 .yaml 结尾且不重名")  # fmt: skip
            wrong = (drafts.Spot("error", added, "", what),)
            return draft_page(request, files, reason=form.text("reason"), spots=wrong, status=422)
        files[added] = ""
    return draft_page(request, files, reason=form.text("reason"), open_file=added)


def _check(request: Request) -> Response:
    form, lifecycle = form_of(request), _lifecycle(request)
    files = sent_files(form)
    found: dict[str, Any] = {"spots": drafts.spots(files, lifecycle), "tried": None, "changes": None}  # fmt: skip
    if form.ticked("full"):
        try:
            tried = drafts.tried(files, lifecycle)
        except ConfigError as error:
            if error.code != "C001":
                raise
            found["spots"] = drafts.refused(error)
        else:
            changes = said_changes(tried.difference)[:_CHANGES_MAX]
            found |= {"tried": tried, "changes": Listing(changes, len(changes), 1, _CHANGES_MAX)}
    if "hx-request" in request.headers:
        return pages.render(request, "policy/checked.html", **found)
    return draft_page(request, files, reason=form.text("reason"), **found)


def _propose(request: Request) -> Response:
    form, lifecycle = form_of(request), _lifecycle(request)
    standing = drafts.files_in_force(lifecycle, services_of(request).settings)
    files, reason = line_ends.kept(sent_files(form), standing), form.text("reason")
    now = str(lifecycle.compared().number)
    if base_of(request) != now:
        later = (drafts.Spot("error", "", "", _LATER),)
        return draft_page(
            request, files, reason=reason, spots=later, base=now, status=HTTPStatus.CONFLICT
        )
    try:
        number = lifecycle.propose(request.state.subject, files, reason)
    except ConfigError as error:
        if error.code != "C001":
            raise
        wrong = drafts.refused(error)
    except QueryError as error:
        if error.code not in ("Q040", "Q042"):
            raise
        wrong = (drafts.Spot("error", "", "", cast("pages.Pair", error.parts["what"])),)
    else:
        return pages.redirect(
            request, f"/console/policy/proposals/{number}", ("Proposed.", "已提出。")
        )
    return draft_page(request, files, reason=reason, spots=wrong, status=422)
