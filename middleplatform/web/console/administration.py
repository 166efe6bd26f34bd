"""The system administrator's pages: who is logged in, service tokens, and which departments are registered.

Every act is one of ``login.people`` or ``login.token_desk``, and an entry of the log. Spec: docs/spec/login.md.
"""

import hashlib
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from middleplatform.access.problems import problem
from middleplatform.access.tokens import VALID_DAYS_MAX, PlannedToken, TokenRecord
from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.login.people import People
from middleplatform.login.sessions import SessionRecord
from middleplatform.login.token_desk import TokenDesk
from middleplatform.model.request import Role, Subject
from middleplatform.web.console import pages
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.problems import status_of
from middleplatform.web.services import services_of

__all__ = ["register"]

_ADMINISTRATORS = frozenset({Role.SYSTEM_ADMINISTRATOR})
_ENDERS = _ADMINISTRATORS | {Role.SECURITY_OFFICER}
_SESSIONS, _TOKENS = "/console/admin/sessions", "/console/admin/tokens"
_CONNECTORS = "/console/admin/connectors"
_DAYS, _DIGITS_MAX = 90, 4
_ENDED = ("Sessions are ended.", "会话已结束。")

_ENTRIES = (
    pages.Entry(
        _SESSIONS, ("Sessions", "会话"),
        ("Who is logged in; put somebody out.", "查看在线人员并结束会话。"), _ENDERS, place=80,
    ),
    pages.Entry(
        _TOKENS, ("Service tokens", "服务令牌"),
        ("Make and revoke what lets people and programs in.", "创建与吊销服务令牌。"), _ADMINISTRATORS, place=81,
    ),
    pages.Entry(
        _CONNECTORS, ("Registered departments", "部门接入登记"),
        ("Which department's node is registered, with which key.", "各部门节点的登记状态与密钥。"),
        _ADMINISTRATORS, place=82,
    ),
)  # fmt: skip


def register(app: FastAPI) -> None:
    """Add the pages."""
    for entry in _ENTRIES:
        pages.navigate(app, entry)
    for method, path, handler, roles in (
        ("GET", _SESSIONS, _sessions, _ENDERS),
        ("POST", _SESSIONS + "/end", _end, _ENDERS),
        ("POST", _SESSIONS + "/end-login", _end_login, _ENDERS),
        ("GET", _TOKENS, _tokens, _ADMINISTRATORS),
        ("POST", _TOKENS, _make, _ADMINISTRATORS),
        ("POST", _TOKENS + "/revoke", _revoke, _ADMINISTRATORS),
        ("GET", _CONNECTORS, _connectors, _ADMINISTRATORS),
    ):
        pages.add(app, method, path, handler, roles)


# --- sessions -----------------------------------------------------------------------------------------------------


def _people(request: Request) -> People:
    desk = services_of(request).lifecycle.desk
    return People(desk.store, desk, desk.clock)


def _sessions(request: Request) -> Response:
    found = _people(request).sessions(request.state.subject)
    return pages.render(
        request, "admin/sessions.html", rows=listed(request, found[::-1], _session_words)
    )


def _session_words(each: SessionRecord) -> str:
    who = each.subject
    return f"{each.id} {who.id} {who.department} {' '.join(who.roles)} {each.how} {each.address}"


def _end(request: Request) -> Response:
    form = form_of(request)
    _people(request).end_one(request.state.subject, form.one("id"), form.text("reason"))
    return pages.redirect(request, _SESSIONS, _ENDED)


def _end_login(request: Request) -> Response:
    form = form_of(request)
    _people(request).end(request.state.subject, form.one("login"), form.text("reason"))
    return pages.redirect(request, _SESSIONS, _ENDED)


# --- tokens -------------------------------------------------------------------------------------------------------


def _desk(request: Request) -> TokenDesk:
    return services_of(request).token_desk(request.app.state.tokens)


def _tokens(request: Request) -> Response:
    return _token_page(request)


def _token_page(
    request: Request,
    form: Form | None = None,
    error: MiddleplatformError | None = None,
    made: PlannedToken | None = None,
) -> Response:
    """Return the list with the form; with what was wrong, or with a token that is shown this once."""
    now = request.app.state.gateway.clock.now()
    records = _desk(request).listed(request.state.subject)[::-1]
    rows = [(each, _state(each, now >= each.expires_at)) for each in records]
    told = None if error is None else problem(error, pages.locale(request))
    departments = request.app.state.gateway.catalog.departments.values()
    say = pages.say(request)
    return pages.render(
        request,
        "admin/tokens.html",
        status=200 if error is None else status_of(error),
        rows=listed(request, rows, lambda row: _token_words(*row)),
        form=form or Form({"days": [str(_DAYS)]}),
        problem=told,
        made=made,
        roles=sorted(Role),
        departments=[(each.code, say(each.name_en, each.name_zh)) for each in departments],
        days_max=VALID_DAYS_MAX,
    )


def _state(record: TokenRecord, over: bool) -> str:  # noqa: FBT001 - one of two reasons not to hold
    if record.revoked_at is not None:
        return "revoked"
    return "expired" if over else "holds"


def _token_words(each: TokenRecord, state: str) -> str:
    who = each.subject
    return f"{each.id} {who.id} {who.department} {' '.join(who.roles)} {each.note} {state}"


def _make(request: Request) -> Response:
    """Make a token and show it, this once; or the form again with what is wrong."""
    form = form_of(request)
    try:
        made = _desk(request).make(
            request.state.subject,
            _subject(form),
            _days(form),
            form.text("note"),
            form.text("reason"),
        )
    except MiddleplatformError as error:
        if error.prefix != "Q":
            raise
        return _token_page(request, form, error)
    return _token_page(request, made=made)


def _subject(form: Form) -> Subject:
    """Return whom the token is for.

    Raises:
        QueryError: Q040 there is no such role.
    """
    try:
        roles = frozenset(map(Role, form.many("role")))
    except ValueError:
        raise QueryError("Q040", what=("there is no such role", "没有该角色")) from None
    regions = tuple(form.one("regions").replace("，", " ").replace(",", " ").split()) or ("*",)
    return Subject(form.one("login"), form.one("department"), roles, regions)


def _days(form: Form) -> int:
    text = form.one("days")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else 0


def _revoke(request: Request) -> Response:
    form = form_of(request)
    _desk(request).revoke(request.state.subject, form.one("id"), form.text("reason"))
    return pages.redirect(request, _TOKENS, ("The token is revoked.", "令牌已吊销。"))


# --- departments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Registered:
    """How a department takes part.

    Attributes:
        code: The department's, or of a party that holds no data.
        names: (English, Chinese).
        datasets: That it holds, by the catalogue.
        key: SHA-256 of its identity key, first 16 hexadecimal digits; empty while it is not registered.
        here: Its node runs in this process.
    """

    code: str
    names: pages.Pair
    datasets: int
    key: str
    here: bool


def _connectors(request: Request) -> Response:
    gateway, platform = request.app.state.gateway, services_of(request).platform
    catalog, pins = gateway.catalog, gateway.dispatcher.pins
    held: dict[str, int] = {}
    for dataset in catalog.datasets.values():
        for code in dataset.held_by:
            held[code] = held.get(code, 0) + 1
    rows = []
    for code in sorted(set(held) | pins.names):
        known = catalog.departments.get(code)
        names = (code, code) if known is None else (known.name_en, known.name_zh)
        key = hashlib.sha256(pins.public_key(code)).hexdigest()[:16] if code in pins.names else ""
        rows.append(Registered(code, names, held.get(code, 0), key, code in platform.nodes))
    return pages.render(
        request,
        "admin/connectors.html",
        rows=listed(request, rows, lambda each: f"{each.code} {' '.join(each.names)}"),
    )
