"""What every page is made with: its address and who may open it, its language, and its frame.

An area of the console registers its pages with ``add``; nothing else reaches a handler, so a page cannot forget to say
for whom it is. Templates are Jinja2 with automatic escaping, and a name that is not there is an error.

Spec: docs/adr/0042-console.md.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from inspect import iscoroutinefunction
from pathlib import Path
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.routing import Match

from middleplatform.catalog.browse import LEVEL_WORDS
from middleplatform.model.request import Role, Subject
from middleplatform.web.console import forms, session
from middleplatform.web.console.static_files import Files
from middleplatform.web.console.waiting import Counts, counts_of
from middleplatform.web.language import locale_of
from middleplatform.web.limits import address_of
from middleplatform.web.places import Places

__all__ = [
    "ALL",
    "LOCALES",
    "Console",
    "Entry",
    "Handler",
    "Pair",
    "add",
    "back",
    "console_of",
    "entries_of",
    "here",
    "locale",
    "navigate",
    "redirect",
    "render",
    "say",
]

ALL = frozenset(Role)
"""Everybody who is logged in."""
LOCALES: Mapping[str, str] = {"en": "English", "zh": "中文"}
_LANGUAGE = "language"
_NOTICE = "notice"
_NOTICE_S = 60
_FOLDER = Path(__file__).parent
_KEPT = ":/%#?=@[]!$&'()*+,;"
"""Characters of an address that stand in a header as they are."""

Pair = tuple[str, str]
"""(English, Chinese)."""
Handler = Callable[[Request], Response | Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation, and a card of the home page.

    Attributes:
        path: Where it leads.
        title: (English, Chinese).
        about: (English, Chinese) sentence for the home page.
        roles: Who sees it.
        place: Lower numbers come first.
        waiting: Returns how many things wait for the person there; None where nothing ever waits.
    """

    path: str
    title: Pair
    about: Pair
    roles: frozenset[Role]
    place: int = 100
    waiting: Callable[[Request], int] | None = None


@cache
def _files() -> Files:
    """Return the static files, read and packed once a process."""
    return Files(_FOLDER / "static")


@cache
def _environment(locale_name: str) -> Environment:
    """Return the templates in one language, compiled once a process."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    said = _sayer(locale_name)
    made.globals.update(t=said, locale=locale_name, asset=_files().address, csrf=_field)
    filters: dict[str, Callable[..., str]] = {
        "said": lambda pair: said(*pair), "when": _when, "number": _number,
        "level": lambda name: said(*LEVEL_WORDS[name]),
    }  # fmt: skip
    made.filters.update(filters)
    return made


@dataclass
class Console:
    """What the console of one application holds.

    Attributes:
        files: Static ones.
        entries: Of the navigation.
        table: Who may open what: roles by method and path; None for anybody.
        counts: What waits, for the navigation.
    """

    files: Files = field(default_factory=_files)
    entries: list[Entry] = field(default_factory=list)
    table: dict[tuple[str, str], frozenset[Role] | None] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.environments = {name: _environment(name) for name in LOCALES}


def console_of(request: Request) -> Console:
    """Return the application's console."""
    console: Console = request.app.state.console
    return console


def add(
    app: FastAPI, method: str, path: str, handler: Handler, roles: frozenset[Role] | None
) -> None:
    """Register a page, or what a form is sent to.

    Args:
        app: Has a ``Console`` at ``app.state.console``.
        method: ``"GET"`` or ``"POST"``. A POST is a form: read and checked before the handler runs.
        path: Begins with ``/console``; may have parameters, ``{name}``.
        handler: A plain function runs in a thread of its own, a coroutine function on the event loop.
        roles: One of which the person must have; ``ALL`` for everybody logged in, None for anybody.
    """
    assert path.startswith("/console")
    assert (method, path) not in app.state.console.table, f"{method} {path} is there already"
    app.state.console.table[method, path] = roles

    async def guarded(request: Request) -> Response:
        who: Subject | str = address_of(request)
        if roles is not None:
            who = await run_in_threadpool(session.require, request, *roles)
            request.state.subject = who
        places: Places = request.app.state.places
        places.check(who)
        with places.one(who):
            return await answered(request)

    async def answered(request: Request) -> Response:
        if method != "GET":
            request.state.form = await forms.read(request)
            forms.check(request, request.state.form)
        if iscoroutinefunction(handler):
            if method == "GET":
                request.state.counts = await run_in_threadpool(_counts, request)
            made: Response = await handler(request)
            return made
        found = await run_in_threadpool(handler, request)
        assert isinstance(found, Response)
        return found

    app.router.add_route(path, guarded, methods=[method], include_in_schema=False)


def navigate(app: FastAPI, entry: Entry) -> None:
    """Add a line to the navigation."""
    app.state.console.entries.append(entry)


def entries_of(request: Request, subject: Subject | None) -> list[Entry]:
    """Return the lines that ``subject`` sees, in their order."""
    if subject is None:
        return []
    found = (each for each in console_of(request).entries if each.roles & subject.roles)
    return sorted(found, key=lambda each: (each.place, each.path))


def locale(request: Request) -> str:
    """Return ``"en"`` or ``"zh"``: what the person chose, else what the browser asks for."""
    chosen = request.cookies.get(_LANGUAGE, "")
    return chosen if chosen in LOCALES else locale_of(request.headers.get("accept-language", ""))


def say(request: Request) -> Callable[[str, str], str]:
    """Return what picks the text of the request's language out of an English and a Chinese one."""
    return _sayer(locale(request))


def render(
    request: Request, template: str, *, status: int = HTTPStatus.OK, **values: object
) -> HTMLResponse:
    """Return the page, or the part of one, that ``template`` makes of ``values``.

    Beside ``values`` a template knows ``t(english, chinese)``, ``locale``, ``asset(name)``, ``csrf()``, ``person``,
    ``entries``, ``here`` (path with query), ``path``, ``others`` (parameters of the query but filter and page number),
    ``partial`` (asked by htmx) and ``url(**changes)``.
    """
    subject = session.visitor(request)
    notice = _notice(request)
    context = {
        "person": subject,
        "entries": entries_of(request, subject),
        "nav_counts": _counts(request),
        "token": session.csrf(request),
        "here": _openable(request),
        "path": request.url.path,
        "others": {
            name: value for name, value in request.query_params.items() if name not in ("q", "page")
        },
        "partial": "hx-request" in request.headers,
        "notice": notice,
        "url": lambda **changes: _changed(request, changes),
    }
    made = console_of(request).environments[locale(request)].get_template(template)
    response = HTMLResponse(made.render(context | values), status)
    response.headers["Content-Language"] = "zh-CN" if locale(request) == "zh" else "en"
    if notice is not None:
        response.delete_cookie(_NOTICE, path="/console", httponly=True, samesite="strict")
    return response


def _counts(request: Request) -> Mapping[str, int]:
    """Return how many things wait for the person, by line of the navigation; asked once a request."""
    if not hasattr(request.state, "counts"):
        lines = entries_of(request, session.visitor(request))
        request.state.counts = counts_of(request, console_of(request).counts, lines)
    found: Mapping[str, int] = request.state.counts
    return found


def redirect(request: Request, path: str, said: Pair | None = None) -> Response:
    """Send the browser on after a form, so that reloading sends nothing twice.

    Args:
        request: The form's.
        path: Of the page to show, inside the console.
        said: (English, Chinese) sentence that this page shows once, at its top.
    """
    assert path.startswith("/console")
    made: Response = RedirectResponse(path, HTTPStatus.SEE_OTHER)
    if "hx-request" in request.headers:  # a script would follow a redirection by itself, unseen
        made = Response(None, HTTPStatus.NO_CONTENT, {"HX-Redirect": quote(path, safe=_KEPT)})
    if said is not None:
        text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
        made.set_cookie(
            _NOTICE, text, max_age=_NOTICE_S, path="/console", httponly=True, samesite="strict"
        )
    return made


def here(request: Request) -> str:
    """Return path and query of the page."""
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def _openable(request: Request) -> str:
    """Return where the page can be opened; of one that answers a form, that is the nearest page above it."""
    if request.method != "POST" or _opens(request, request.url.path):
        return here(request)
    path = request.url.path
    while path.startswith("/console/") and not _opens(request, path):
        path = path.rpartition("/")[0]
    return path if path.startswith("/console") else "/console"


def _opens(request: Request, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path}
    return any(each.matches(asked)[0] is Match.FULL for each in request.app.router.routes)


def back(request: Request) -> str:
    """Return where the ``next`` of the query leads: a path of the console, its home for anything else."""
    wanted = request.query_params.get("next", "")
    inside = wanted == "/console" or wanted.startswith(("/console/", "/console?"))
    plain = wanted.isprintable() and "\\" not in wanted
    return wanted if inside and plain else "/console"


def _sayer(name: str) -> Callable[[str, str], str]:
    return lambda english, chinese: chinese if name == "zh" else english


def _changed(request: Request, changes: Mapping[str, object]) -> str:
    """Return this page's address with other parameters; None takes one out."""
    kept = {name: value for name, value in request.query_params.items() if name not in changes}
    told = {name: str(value) for name, value in changes.items() if value is not None}
    query = urlencode(kept | told)
    return request.url.path + (f"?{query}" if query else "")


def _notice(request: Request) -> Pair | None:
    try:
        english, chinese = json.loads(base64.urlsafe_b64decode(request.cookies.get(_NOTICE, "")))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        return None
    return str(english), str(chinese)


@pass_context
def _field(context: Context) -> Markup:
    """Return the hidden field that every form has."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(
        forms.FIELD, context["token"]
    )


def _when(moment: datetime | str) -> Markup:
    """Return a moment as people read it, in UTC to the minute, which a script turns into local time.

    Args:
        moment: With its zone, or in UTC; a text is in ISO 8601.
    """
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    shown = found.strftime("%Y-%m-%d %H:%M UTC")
    return Markup('<time datetime="{}">{}</time>').format(
        found.isoformat(timespec="seconds"), shown
    )


def _number(value: float) -> str:
    return f"{value:,}"
