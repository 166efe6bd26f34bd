"""Conduct in the console: figures and findings by month, the inspection's checklist, the public page.

Spec: docs/spec/accountability.md.
"""

from fastapi import FastAPI, Request, Response

from middleplatform.accountability.accounts import Accounts
from middleplatform.accountability.conduct import SANCTIONS
from middleplatform.accountability.periods import Period, month
from middleplatform.governance.workdays import SHANGHAI
from middleplatform.web.checks import few
from middleplatform.web.console import pages
from middleplatform.web.console.listing import Listing, listed
from middleplatform.web.console.log import AUDITORS
from middleplatform.web.console.who_got_what import WATCHERS
from middleplatform.web.services import services_of

__all__ = ["register"]

_HOME = "/console/audit"
_MONTHS = 12
_TEXT_MAX = 20

_ENTRIES = (
    pages.Entry(
        _HOME + "/figures", ("Figures", "履职指标"),
        ("How providers answer, refuse, and keep their catalogue.", "各部门答复、拒绝与目录维护情况。"),
        WATCHERS, place=61,
    ),
    pages.Entry(
        _HOME + "/findings", ("Findings", "监督问题"),
        ("Duties that were not met, each with its article.", "未履行的职责及其条款。"), WATCHERS, place=62,
    ),
    pages.Entry(
        _HOME + "/inspection", ("Inspection", "监督检查"),
        ("A checklist over duties, log, retention and terms.", "对职责分立、日志、保存期限与时限逐项检查。"),
        AUDITORS, place=63,
    ),
    pages.Entry(
        _HOME + "/transparency", ("Transparency page", "透明度报告"),
        ("What the public may know of a month that is over.", "已结束月份可公开的统计。"), WATCHERS, place=64,
    ),
)  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    for entry in _ENTRIES:
        pages.navigate(app, entry)
    for method, path, handler, roles in (
        ("GET", "/figures", _figures, WATCHERS),
        ("GET", "/findings", _findings, WATCHERS),
        ("GET", "/inspection", _inspection, AUDITORS),
        ("POST", "/inspection", few(_inspect, "inspections"), AUDITORS),
        ("GET", "/transparency", _transparency, WATCHERS),
    ):
        pages.add(app, method, _HOME + path, handler, roles)


def _span(request: Request, accounts: Accounts) -> tuple[str, Period, list[str]]:
    """Return the month that was asked for, empty for all time; its period; the months that can be asked for.

    Raises:
        QueryError: Q040 it is no month, or not over.
    """
    said = request.query_params.get("month", "").strip()[:_TEXT_MAX]
    return said, month(said, accounts.now()) if said else Period(), _months(accounts)


def _months(accounts: Accounts) -> list[str]:
    """Return the last twelve months that are over, the newest first."""
    here = accounts.now().astimezone(SHANGHAI)
    last = here.year * _MONTHS + here.month - 2
    return [f"{n // _MONTHS:04d}-{n % _MONTHS + 1:02d}" for n in range(last, last - _MONTHS, -1)]


def _figures(request: Request) -> Response:
    accounts = services_of(request).accounts()
    said, period, months = _span(request, accounts)
    rows = [each.plain() for each in accounts.figures(period)]
    return pages.render(
        request,
        "audit/figures.html",
        rows=Listing(rows, len(rows), size=max(len(rows), 1)),
        said=said,
        months=months,
        names=_departments(request),
    )


def _findings(request: Request) -> Response:
    accounts = services_of(request).accounts()
    said, period, months = _span(request, accounts)
    found = accounts.findings(period)
    return pages.render(
        request,
        "audit/findings.html",
        rows=listed(
            request,
            found,
            lambda each: (
                f"{each.side} {each.department} {each.about} {each.what_en} {each.what_zh}"
            ),
        ),
        said=said,
        months=months,
        names=_departments(request),
        sanctions=SANCTIONS,
    )


def _inspection(request: Request) -> Response:
    return pages.render(request, "audit/inspection.html", checks=None)


def _inspect(request: Request) -> Response:
    """Work through the list: it recomputes the whole log, so only who asks for it causes that."""
    checks = services_of(request).inspection(request.app.state.tokens)
    return pages.render(request, "audit/inspection.html", checks=checks)


def _transparency(request: Request) -> Response:
    services = services_of(request)
    said = request.query_params.get("month", "").strip()[:_TEXT_MAX]
    return pages.render(
        request,
        "audit/transparency.html",
        page=services.public_pages.page(said),
        said=said,
        months=_months(services.accounts()),
    )


def _departments(request: Request) -> dict[str, pages.Pair]:
    found = request.app.state.gateway.catalog.departments.values()
    return {each.code: (each.name_en, each.name_zh) for each in found}
