"""A department's own receipts: what the platform's log holds over its signature, and both logs compared.

Spec: docs/spec/audit-log.md, "Reconciling two logs".
"""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from middleplatform.accountability.own_receipts import Reconciled, Signed, reconciled, signed
from middleplatform.accountability.usage import UsageRecord
from middleplatform.errors import AuditError, MiddleplatformError, QueryError
from middleplatform.governance.wanting import when
from middleplatform.model.request import Role
from middleplatform.web.checks import Checks, few
from middleplatform.web.console import pages
from middleplatform.web.console.forms import form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["HOME", "READERS", "register"]

READERS = frozenset({Role.DEPARTMENT_STEWARD})
HOME = "/console/department/receipts"


def register(app: FastAPI) -> None:
    """Add the page and its form."""
    pages.navigate(app, pages.Entry(
        HOME, ("Own receipts", "本部门回执"),
        ("Answers that your department signed, as the platform's log holds them; compare with your own log.",
         "平台日志中由本部门签署的回执，可与本部门日志核对。"),
        READERS, 46,
    ))  # fmt: skip
    pages.add(app, "GET", HOME, _list, READERS)
    app.state.comparisons = Checks(at_once=2, own_max=2)
    pages.add(app, "POST", HOME, few(_reconcile, "comparisons"), READERS)


@dataclass(frozen=True, slots=True)
class Row:
    """A release in the list.

    Attributes:
        record: As the department keeps it.
        receipts: Of the department, in its entry.
    """

    record: UsageRecord
    receipts: tuple[Signed, ...]

    @property
    def good(self) -> bool:
        """Whether there are receipts, and all are the department's."""
        return bool(self.receipts) and all(each.good for each in self.receipts)


def _list(request: Request) -> Response:
    return _page(request)


def _page(
    request: Request, *, found: Reconciled | None = None, error: str = "", status: int = 200
) -> Response:
    gateway, who = request.app.state.gateway, request.state.subject
    department, pins = who.department, gateway.dispatcher.pins
    records = services_of(request).accounts().usage_records(department, "provider")[::-1]
    shown = listed(request, records, _words)
    rows = {
        each.index: Row(each, signed(gateway.audit.entry(each.index), department, pins))
        for each in shown
    }
    return pages.render(
        request,
        "department/receipts.html",
        status=status,
        rows=shown,
        receipts=rows,
        found=found,
        error=error,
        pinned=department in pins.names,
        departments=gateway.catalog.departments,
    )


def _words(each: UsageRecord) -> str:
    return (
        f"{each.index} {each.query_id} {each.department} {each.protocol} {' '.join(each.datasets)}"
    )


def _reconcile(request: Request) -> Response:
    """Compare the platform's log with the export that was pasted; nothing of it is kept."""
    form, who, gateway = form_of(request), request.state.subject, request.app.state.gateway
    try:
        since = form.one("since")
        found = reconciled(
            gateway.audit,
            who.department,
            gateway.dispatcher.pins,
            form.text("log").lstrip(),
            form.text("key"),
            gateway.clock.now(),
            when(since) if since else None,
        )
    except (QueryError, AuditError) as error:
        return _refused(request, error)
    return _page(request, found=found)


def _refused(request: Request, error: MiddleplatformError) -> Response:
    """Show the page with what is wrong with the export; a fault of the platform's own log is not the form's."""
    if error.code not in ("Q040", "A002"):
        raise error
    request.app.state.operator_log.detail(error)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error.code == "A002" else status_of(error)
    return _page(request, error=error.message(pages.locale(request)), status=status)
