"""The endpoints of accountability: who got what, usage, figures, findings, reports, the public page, own receipts.

What a person may see is decided by ``accountability.accounts``.

Spec: docs/spec/accountability.md.
"""

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Path, Query, Request, Response

from middleplatform.access import shapes
from middleplatform.accountability import conduct, transparency, usage
from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.periods import Period, month
from middleplatform.audit.search import ReleaseQuery, Usage
from middleplatform.errors import PolicyError
from middleplatform.governance.wanting import when
from middleplatform.model.record import Receipt
from middleplatform.model.request import Subject
from middleplatform.web import bodies_account as bodies
from middleplatform.web.checks import few
from middleplatform.web.guard import subject_of
from middleplatform.web.language import media_type_of
from middleplatform.web.replies import JSON, After, Limit, Route, governed, json_reply, page

__all__ = ["ROUTES"]

_HTML = "text/html"
_Name = Annotated[str, Query(max_length=200)]
_Moment = Annotated[
    str,
    Query(
        pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2}))?)?$",
        description="A day, as it begins in China, or a time with its offset.",
    ),
]
_Month = Annotated[
    str, Query(alias="month", pattern=r"^([0-9]{4}-[0-9]{2})?$", description="One that is over.")
]
_Decision = Annotated[
    str, Path(pattern=r"^([0-9a-f]{32}|[0-9]{1,15})$", description="Id of the query, or an entry.")
]


# --- who got what -------------------------------------------------------------------------------------------------


def list_releases(  # noqa: PLR0913, PLR0917 - a filter each
    request: Request,
    dataset: _Name = "",
    column: _Name = "",
    department: _Name = "",
    subject: _Name = "",
    start: _Moment = "",
    stop: _Moment = "",
    incident: Annotated[int | None, Query(ge=0, le=2**53 - 1)] = None,
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """Say who got what: of a dataset, a column, a time, a person, a department, an incident."""
    accounts = governed(request).accounts()
    accounts.check_watcher(subject_of(request))
    wanted = ReleaseQuery(dataset, column, _at(start), _at(stop), department, subject)
    found = accounts.who_got_what(wanted, incident)
    shown, following = page(found, lambda each: each.index + 1, after, limit)
    return json_reply({"releases": [_release(each) for each in shown], "next": following})


def list_usage(
    request: Request,
    department: _Name = "",
    side: Literal["provider", "user"] = "provider",
    start: _Moment = "",
    stop: _Moment = "",
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """Give a department's usage records, your own unless named: who used its data, or what it used."""
    accounts, who = governed(request).accounts(), subject_of(request)
    name = department or who.department
    accounts.check_department(who, name)
    found = accounts.usage_records(name, side, ReleaseQuery(start=_at(start), stop=_at(stop)))
    shown, following = page(found, lambda each: each.index + 1, after, limit)
    return json_reply({
        "retention_years": accounts.retention_years(),
        "records": [usage.plain(each) for each in shown], "next": following,
    })  # fmt: skip


def note_release(
    request: Request,
    index: Annotated[int, Path(ge=0, le=2**53 - 1)],
    note: bodies.NoteDraft,
) -> Response:
    """Write down effect, storage or disposal of an answer that your department received."""
    services, said = governed(request), note.model_dump()
    services.accounts().note_usage(services.lifecycle.desk, index, said, subject_of(request))
    return json_reply({"release": index, **said}, HTTPStatus.CREATED)


def list_receipts(request: Request, after: After = 0, limit: Limit = 100) -> Response:
    """List your answers with the proofs that they are in the log."""
    who, log = subject_of(request), request.app.state.gateway.audit
    released = log.releases(ReleaseQuery(subject=who.id, department=who.department))
    shown, following = page(list(released), lambda each: each.index + 1, after, limit)
    size = log.size
    checkpoint = log.checkpoint_at(size)
    receipts = []
    for each in shown:
        proof = tuple(part.hex() for part in log.inclusion_proof(each.index, size))
        leaf = log.profile.leaf(log.entry(each.index).leaf).hex()
        receipts.append({
            "index": each.index, "at": each.at.isoformat(), "query_id": each.query_id,
            "datasets": list(each.datasets), "result_digest": each.result_digest,
            "receipt": shapes.receipt(Receipt(each.index, leaf, checkpoint, proof)),
        })  # fmt: skip
    return json_reply({"receipts": receipts, "next": following})


def _release(each: Usage) -> dict[str, object]:
    value = {
        name: list(part) if isinstance(part, tuple) else part for name, part in asdict(each).items()
    }
    return value | {"at": each.at.isoformat()}


def _at(text: str) -> datetime | None:
    return when(text) if text else None


# --- figures ------------------------------------------------------------------------------------------------------


def list_figures(request: Request, said: _Month = "") -> Response:
    """Give figures of providers: answers in time, refusals with a basis, coverage, tickets, stale entries."""
    accounts, who = governed(request).accounts(), subject_of(request)
    found = accounts.figures(_period(accounts, said))
    mine = [each.plain() for each in found if _may_see(accounts, who, each.department)]
    return json_reply({"figures": mine})


def list_findings(
    request: Request,
    said: _Month = "",
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """List duties that were not met, each with its article."""
    accounts, who = governed(request).accounts(), subject_of(request)
    found = accounts.findings(_period(accounts, said))
    mine = [each for each in found if _may_see(accounts, who, each.department)]
    shown, following = page(list(enumerate(mine, 1)), lambda each: each[0], after, limit)
    return json_reply({
        "findings": [conduct.plain(each) for _, each in shown], "next": following,
    })  # fmt: skip


def show_inspection(request: Request) -> Response:
    """Work through the checklist of an inspection; the whole log is recomputed for it."""
    checks = governed(request).inspection(request.app.state.tokens)
    return json_reply({"checks": [asdict(each) for each in checks]})


def list_assets(request: Request) -> Response:
    """Say how each dataset stands by the objections and corrections about it."""
    assets = [
        {
            "dataset": each.dataset, "state": each.state, "pending": list(each.pending),
            "corrected_at": None if each.corrected_at is None else each.corrected_at.isoformat(),
        }
        for each in governed(request).accounts().assets()
    ]  # fmt: skip
    return json_reply({"assets": assets})


def _period(accounts: Accounts, said: str) -> Period:
    return month(said, accounts.now()) if said else Period()


def _may_see(accounts: Accounts, who: Subject, department: str) -> bool:
    try:
        accounts.check_department(who, department)
    except PolicyError:
        return False
    return True


# --- reports ------------------------------------------------------------------------------------------------------


def show_decision(request: Request, decision: _Decision) -> Response:
    """Give the signed report of a decision, as JSON or as a page to keep; `verify.py` checks both."""
    services = governed(request)
    report = services.accounts().report(decision, services.report_signer, subject_of(request))
    wanted = media_type_of(request.headers.get("accept", ""), (JSON, _HTML))
    kind, text, ending = (
        (_HTML, report.html, "html") if wanted == _HTML else (JSON, report.json, "json")
    )
    headers = {"Content-Disposition": f'attachment; filename="report-{decision}.{ending}"'}
    return Response(text.encode(), 200, headers, kind)


def show_transparency(request: Request, said: _Month = "") -> Response:
    """Give the public page of a month that is over, the last one unless said: counts only."""
    services = governed(request)
    return json_reply(transparency.plain(services.public_pages.page(said)))


ROUTES = (
    Route("GET", "/v1/releases", list_releases, bodies.ReleasesBody),
    Route(
        "POST", "/v1/releases/{index}/note", note_release, bodies.WrittenNoteBody,
        HTTPStatus.CREATED,
    ),
    Route("GET", "/v1/usage", list_usage, bodies.UsageBody),
    Route("GET", "/v1/receipts", list_receipts, bodies.OwnReceiptsBody),
    Route("GET", "/v1/figures", list_figures, bodies.FiguresBody),
    Route("GET", "/v1/findings", list_findings, bodies.FindingsBody),
    Route("GET", "/v1/inspection", few(show_inspection, "inspections"), bodies.InspectionBody),
    Route("GET", "/v1/assets", list_assets, bodies.AssetsBody),
    Route(
        "GET", "/v1/decisions/{decision}", show_decision, bodies.ReportBody,
        more={200: {"model": bodies.ReportBody, "content": {_HTML: {"schema": {"type": "string"}}}}},
    ),
    Route("GET", "/v1/transparency", show_transparency, bodies.TransparencyBody),
)  # fmt: skip
