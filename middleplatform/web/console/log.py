"""The audit log in the console: its entries by pages, one entry with its proof, its checkpoints.

Spec: docs/spec/audit-log.md.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from middleplatform.accountability import checking
from middleplatform.audit.browse import NEAR, Wanted, newest, related
from middleplatform.audit.entry import EVENTS, LogEntry, canonical
from middleplatform.audit.proof import proof_text
from middleplatform.audit.reader import LogView
from middleplatform.errors import AuditError, QueryError
from middleplatform.governance.wanting import when
from middleplatform.model.request import Role
from middleplatform.web.console import pages
from middleplatform.web.console.listing import Listing
from middleplatform.web.services import services_of

__all__ = ["AUDITORS", "HOME", "index_in", "log_of", "moment_of", "register"]

AUDITORS = frozenset({Role.AUDITOR})
HOME = "/console/audit/log"
_CHECKPOINT = "/console/audit/checkpoint"
_PAGE = 25
_TEXT_MAX = 200
_DIGITS_MAX = 15
_DECISIONS = ("received", "released", "refused", "failed")
_REPORTS = {"html": "text/html", "json": "application/json"}
_FIRST = (
    "at",
    "query_id",
    "subject",
    "by",
    "department",
    "recipient",
    "purpose",
    "roles",
    "code",
    "rule",
)
"""Members of a body that are told first, in this order."""

_ENTRIES = (
    pages.Entry(
        HOME, ("Audit log", "审计日志"),
        ("Every question and every act, with the proof that it is there.", "每次查询与操作的记录及其存在证明。"),
        AUDITORS, place=10,
    ),
    pages.Entry(
        _CHECKPOINT, ("Checkpoints", "检查点"),
        ("What the log signed of itself, who witnessed it, and that it only grew.",
         "日志自签的检查点、见证方联署与只增证明。"),
        AUDITORS, place=12,
    ),
)  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    for entry in _ENTRIES:
        pages.navigate(app, entry)
    for path, handler in (
        (HOME, _list),
        (HOME + "/{index}", _show),
        (HOME + "/{index}/proof", _proof),
        (HOME + "/{index}/report/{format}", _report),
        (_CHECKPOINT, _checkpoint),
    ):
        pages.add(app, "GET", path, handler, AUDITORS)


def log_of(request: Request) -> LogView:
    """Return the platform's log."""
    log: LogView = request.app.state.gateway.audit
    return log


def index_in(text: str) -> int | None:
    """Return the number that a text is; None where it is none, or far beyond every log."""
    good = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if good else None


def moment_of(request: Request, name: str) -> str:
    """Return a moment of the page's address as it was typed, if it is one; empty where nothing was said.

    Raises:
        QueryError: Q040 it is no day or hour.
    """
    text = request.query_params.get(name, "").strip()[:_TEXT_MAX]
    if text:
        when(text)
    return text


# --- entries ------------------------------------------------------------------------------------------------------


def _list(request: Request) -> Response:
    said = {
        name: request.query_params.get(name, "").strip()[:_TEXT_MAX]
        for name in ("event", "person", "department", "dataset", "query")
    }
    since, until = moment_of(request, "since"), moment_of(request, "until")
    wanted = Wanted(
        said["event"], said["person"], said["department"], said["dataset"], said["query"],
        when(since) if since else None, when(until) if until else None,
    )  # fmt: skip
    before = index_in(request.query_params.get("before", ""))
    found = newest(log_of(request), wanted, _PAGE, before)
    rows = [(each, each.record.body) for each in found.entries]
    catalog = request.app.state.gateway.catalog
    return pages.render(
        request,
        "audit/log.html",
        rows=Listing(rows, len(rows), size=max(len(rows), 1)),
        found=found,
        said={**said, "since": since, "until": until},
        filtered=wanted != Wanted(),
        newest=before is None,
        size=log_of(request).size,
        events=sorted(EVENTS),
        departments=[
            (each.code, (each.name_en, each.name_zh)) for each in catalog.departments.values()
        ],
        datasets=[(each.name, (each.name_en, each.name_zh)) for each in catalog.datasets.values()],
    )


def _entry(request: Request) -> LogEntry:
    """Return the entry of the page's address.

    Raises:
        QueryError: Q041 there is none.
    """
    index = index_in(request.path_params["index"])
    try:
        if index is not None:
            return log_of(request).entry(index)
    except AuditError as error:
        if error.code != "A004":
            raise
    raise QueryError("Q041", what=("such an entry of the log", "该日志条目"))


def _show(request: Request) -> Response:
    log, entry = log_of(request), _entry(request)
    record = entry.record
    return pages.render(
        request,
        "audit/entry.html",
        entry=entry,
        event=record.event,
        facts=_facts(record.body),
        text=json.dumps(json.loads(entry.leaf), ensure_ascii=False, indent=2, sort_keys=True),
        same=canonical(json.loads(entry.leaf)) == entry.leaf,
        receipt=checking.receipt_of(log, entry.index),
        proved=checking.checked(log, str(entry.index)),
        others=related(log, entry),
        near=NEAR,
        last=log.size - 1,
        decision=record.event in _DECISIONS and "query_id" in record.body,
    )


def _facts(body: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the members of a body, those that people look for first."""
    order = [name for name in _FIRST if name in body]
    order += sorted(set(body) - set(order))
    return [(name, _said(body[name])) for name in order]


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _proof(request: Request) -> Response:
    """Give the entry's receipt as a file that stands alone."""
    entry = _entry(request)
    text = proof_text(checking.receipt_of(log_of(request), entry.index))
    headers = {"Content-Disposition": f'attachment; filename="entry-{entry.index}.tlog-proof"'}
    return Response(text.encode(), HTTPStatus.OK, headers, "text/plain; charset=utf-8")


def _report(request: Request) -> Response:
    """Give the signed report of the decision that the entry belongs to."""
    entry, wanted = _entry(request), request.path_params["format"]
    if wanted not in _REPORTS:
        raise QueryError("Q041", what=("such report", "该报告"))
    services = services_of(request)
    found = services.accounts().report(
        str(entry.index), services.report_signer, request.state.subject
    )
    text = found.html if wanted == "html" else found.json
    headers = {"Content-Disposition": f'attachment; filename="report-{entry.index}.{wanted}"'}
    return Response(text.encode(), HTTPStatus.OK, headers, _REPORTS[wanted])


# --- checkpoints --------------------------------------------------------------------------------------------------


def _checkpoint(request: Request) -> Response:
    log = log_of(request)
    text, size = log.checkpoint(), log.size
    asked = {
        name: request.query_params.get(name, "").strip()[:_TEXT_MAX] for name in ("old", "new")
    }
    found, unsigned = None, None
    if asked["old"] or asked["new"]:
        old, new = index_in(asked["old"] or "0"), index_in(asked["new"] or str(size))
        if old is None or new is None or not old <= new <= size:
            what = (
                f"two sizes up to {size}, the smaller first",
                f"两个不超过 {size} 的大小，小者在前",
            )
            raise QueryError("Q040", what=what)
        try:
            found = checking.extends(log, old, new)
        except AuditError as error:
            if error.code != "A004":
                raise
            unsigned = (old, new)
    return pages.render(
        request,
        "audit/checkpoint.html",
        text=text,
        size=size,
        origin=log.origin,
        keys=[key.text() for key in log.keys],
        witnesses=checking.witnessed(log, text),
        asked=asked,
        found=found,
        unsigned=unsigned,
    )
