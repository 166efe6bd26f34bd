"""Who got what: releases by dataset, column, person, department, time or incident, and as a file.

Spec: docs/spec/accountability.md, "Who got what".
"""

import json
from dataclasses import asdict
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from middleplatform.access import csv_cells
from middleplatform.audit.search import ReleaseQuery, Usage
from middleplatform.errors import QueryError
from middleplatform.governance.wanting import when
from middleplatform.model.request import Role
from middleplatform.web.console import pages
from middleplatform.web.console.listing import listed
from middleplatform.web.console.log import index_in, moment_of
from middleplatform.web.services import services_of

__all__ = ["WATCHERS", "register"]

WATCHERS = frozenset({Role.AUDITOR, Role.DATA_BUREAU, Role.SECURITY_OFFICER})
_HOME = "/console/audit/releases"
_TEXT_MAX = 200
_NAMES = ("dataset", "column", "department", "subject")
_FORMATS = ("csv", "json")


def register(app: FastAPI) -> None:
    """Add the page and its file."""
    pages.add(app, "GET", _HOME, _list, WATCHERS)
    pages.add(app, "GET", _HOME + "/export/{format}", _export, WATCHERS)
    pages.navigate(app, pages.Entry(
        _HOME, ("Who got what", "数据去向"),
        ("Every release of a dataset, a column, a person, or within an incident.",
         "按数据集、字段、人员或事件查询每次发布。"),
        WATCHERS, place=60,
    ))  # fmt: skip


def _wanted(request: Request) -> tuple[dict[str, str], tuple[Usage, ...]]:
    """Return what was asked for, as typed, and what is found.

    Raises:
        QueryError: Q040 it cannot be searched for.
    """
    said = {name: request.query_params.get(name, "").strip()[:_TEXT_MAX] for name in _NAMES}
    since, until = moment_of(request, "since"), moment_of(request, "until")
    named = request.query_params.get("incident", "").strip()[:_TEXT_MAX]
    incident = index_in(named)
    if named and incident is None:
        raise QueryError("Q040", what=("an incident is an entry's index", "事件应填日志条目序号"))
    query = ReleaseQuery(
        said["dataset"], said["column"], when(since) if since else None, when(until) if until else None,
        said["department"], said["subject"],
    )  # fmt: skip
    accounts = services_of(request).accounts()
    accounts.check_watcher(request.state.subject)
    found = accounts.who_got_what(query, incident)
    return {**said, "since": since, "until": until, "incident": named}, found


def _list(request: Request) -> Response:
    said, found = _wanted(request)
    catalog, bundle = request.app.state.gateway.catalog, request.app.state.gateway.bundle
    return pages.render(
        request,
        "audit/releases.html",
        rows=listed(request, found[::-1]),
        said=said,
        filtered=any(said.values()),
        auditor=Role.AUDITOR in request.state.subject.roles,
        purposes=bundle.purposes,
        departments=[(each.code, (each.name_en, each.name_zh)) for each in catalog.departments.values()],
        datasets=[(each.name, (each.name_en, each.name_zh)) for each in catalog.datasets.values()],
    )  # fmt: skip


def _export(request: Request) -> Response:
    """Give all that is found as a file, oldest first."""
    wanted = request.path_params["format"]
    if wanted not in _FORMATS:
        raise QueryError("Q041", what=("such file", "该文件格式"))
    _, found = _wanted(request)
    rows = [asdict(each) | {"at": each.at.isoformat()} for each in found]
    if wanted == "json":
        text, kind = json.dumps({"releases": rows}, ensure_ascii=False), "application/json"
    else:
        head = list(Usage.__dataclass_fields__)
        text = "\ufeff" + csv_cells.table(head, ([row[name] for name in head] for row in rows))
        kind = "text/csv; charset=utf-8"
    headers = {"Content-Disposition": f'attachment; filename="releases.{wanted}"'}
    return Response(text.encode(), HTTPStatus.OK, headers, kind)
