"""Who used a department's data, and what it used: its usage records, as a list and as files (decree 809 art. 29).

Spec: docs/spec/accountability.md, "Usage records".
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from middleplatform.accountability.usage import UsageRecord, as_csv, plain
from middleplatform.audit.search import ReleaseQuery
from middleplatform.errors import QueryError
from middleplatform.governance.wanting import when
from middleplatform.model.request import Role
from middleplatform.web.console import pages
from middleplatform.web.console.listing import listed
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["HOME", "READERS", "department_of", "register"]

READERS = frozenset({Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
HOME = "/console/department/usage"
_FILES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_DAY = timedelta(days=1)


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(app, pages.Entry(
        HOME, ("Usage of data", "数据使用记录"),
        ("Who used your department's data for what, and what your department used.",
         "谁为何目的使用了本部门数据，以及本部门使用了哪些数据。"),
        READERS, 44,
    ))  # fmt: skip
    pages.add(app, "GET", HOME, _list, READERS)
    pages.add(app, "GET", HOME + "/export/{format}", _export, READERS)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address asks for.

    Attributes:
        department: Whose records.
        side: ``"provider"`` or ``"user"``.
        since: First day, as written; empty for the beginning.
        until: Last day, as written; empty for no end.
    """

    department: str
    side: str
    since: str
    until: str


def department_of(request: Request) -> str:
    """Return whose records are asked for with ``?department=``: the person's own unless named."""
    own: str = request.state.subject.department
    return request.query_params.get("department", "")[:100] or own


def _asked(request: Request) -> _Asked:
    asked = request.query_params
    side = "user" if asked.get("side") == "user" else "provider"
    since, until = asked.get("since", "")[:40], asked.get("until", "")[:40]
    return _Asked(department_of(request), side, since, until)


def _records(request: Request, asked: _Asked) -> tuple[UsageRecord, ...]:
    """Return the records, the newest first.

    Raises:
        PolicyError: P004 another department's, and no watcher.
        QueryError: Q040 a day is none.
    """
    accounts = services_of(request).accounts()
    accounts.check_department(request.state.subject, asked.department)
    start = when(asked.since) if asked.since else None
    stop = _day_after(asked.until) if asked.until else None
    window = ReleaseQuery(start=start, stop=stop)
    return accounts.usage_records(asked.department, asked.side, window)[::-1]


def _day_after(text: str) -> datetime:
    """Return the end of a written day.

    Raises:
        QueryError: Q040 it is none.
    """
    day = when(text)
    try:
        return day + _DAY
    except OverflowError:  # the last of all
        return day


def _list(request: Request) -> Response:
    asked, error, status = _asked(request), "", HTTPStatus.OK
    try:
        records = _records(request, asked)
    except QueryError as fault:
        records, error = (), fault.message(pages.locale(request))
        status = HTTPStatus(status_of(fault))
    gateway, bureau = request.app.state.gateway, Role.DATA_BUREAU in request.state.subject.roles
    return pages.render(
        request,
        "department/usage.html",
        status=status,
        rows=listed(request, records, _words),
        asked=asked,
        error=error,
        bureau=bureau,
        years=services_of(request).accounts().retention_years(),
        purposes=gateway.bundle.purposes,
        departments=gateway.catalog.departments,
        query=str(request.query_params),
    )


def _words(each: UsageRecord) -> str:
    names = " ".join((*each.columns, *each.datasets, *each.grants))
    return f"{each.index} {each.subject} {each.department} {each.recipient} {each.purpose} {names} {each.query_id}"


def _export(request: Request) -> Response:
    """Give the records that the list's filters leave as a file."""
    wanted = request.path_params["format"]
    if wanted not in _FILES:
        raise QueryError("Q041", what=("such file of the records", "使用记录的此类文件"))
    asked = _asked(request)
    records = _records(request, asked)
    found = listed(request, records, _words, size=max(1, len(records))).items
    if wanted == "csv":
        content = ("\ufeff" + as_csv(found)).encode()  # spreadsheets then read it as UTF-8
    else:
        content = json.dumps([plain(each) for each in found], ensure_ascii=False).encode()
    headers = {"Content-Disposition": f'attachment; filename="usage-{asked.side}.{wanted}"'}
    return Response(content, HTTPStatus.OK, headers, _FILES[wanted])
