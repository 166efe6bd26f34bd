"""An application with nothing but the console, and a page that has every part of a page."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from jinja2 import ChoiceLoader, FileSystemLoader

from middleplatform.access.problems import problem
from middleplatform.errors import ConfigError, PolicyError
from middleplatform.model.request import Role, Subject
from middleplatform.web import problems
from middleplatform.web.console import app as console
from middleplatform.web.console import forms, home, listing, login, pages
from middleplatform.web.places import Places
from middleplatform.web.shell import Shell

SQL = "SELECT sex, id_number FROM ga.population p -- 人口"
CHECKED = {
    "diagnostics": [{
        "from": 12, "to": 21, "severity": "error", "message": "身份证号 is never shown", "rule": "R3", "owner": "ga",
        "actions": [
            {"label": "Count people", "replace": {"from": 12, "to": 21, "text": "COUNT(*) AS n"}},
            {"label": "Apply", "href": "/console/specimen?applied=1"},
        ],
    }],
}  # fmt: skip
COMPLETIONS = {
    "tables": {"ga.population": [
        {"name": "sex", "type": "text", "detail": "性别"}, {"name": "birth_year", "type": "integer"},
    ]},
    "labels": {"ga.population": "人口"},
}  # fmt: skip
CHART = {
    "kind": "bar", "x": ["990101", "990102", "990103", None], "x_name": "区", "y_name": "n", "withheld": "withheld",
    "series": [
        {"name": "men", "values": [120, 80, None, 12], "low": [110, 72, None, 4], "high": [130, 88, None, 20]},
        {"name": "women", "values": [130, 95, 40, None]},
    ],
}  # fmt: skip


@dataclass
class HandSessions:
    """Sessions that a test hands out: the secret is the name of the role."""

    ended: list[str] = field(default_factory=list)

    def subject(self, secret: str) -> Subject | None:
        known = secret in list(Role) and secret not in self.ended
        return Subject(f"user_{secret}", "drc", frozenset({Role(secret)})) if known else None

    def csrf(self, secret: str) -> str:
        return f"token-of-{secret}"

    def end(self, secret: str) -> None:
        self.ended.append(secret)


class NoStore:
    """The services of a platform without a store: how much waits nobody can say."""

    def __init__(self) -> None:
        self.sessions = HandSessions()

    @property
    def lifecycle(self):
        raise ConfigError("C015", what=("there is none", "未配置"))


class QuietLog:
    """Keeps what nobody foresaw, and ends the test by it."""

    def internal(self, error: Exception):
        raise error

    def detail(self, error: Exception) -> None:
        pass


class Specimen:
    """The application.

    Attributes:
        url: Where it is served.
        checks: Statements that the editor had checked, in order.
    """

    def __init__(self) -> None:
        self.url, self.checks = "", []
        self.app = app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.state.operator_log = QuietLog()
        app.state.places = Places(256, 32)
        app.state.services = NoStore()
        problems.install(app)
        console.register(app, (home, login))
        own = FileSystemLoader(Path(__file__).parent / "templates")
        for name, each in app.state.console.environments.items():
            loader = ChoiceLoader([each.loader, own])
            app.state.console.environments[name] = each.overlay(loader=loader)
        app.add_middleware(Shell, operator_log=app.state.operator_log)
        pages.navigate(
            app,
            pages.Entry(
                "/console/specimen",
                ("Specimen", "样张"),
                ("All parts.", "所有组件。"),
                pages.ALL,
                waiting=lambda _: 2,
            ),
        )
        pages.add(app, "GET", "/console/specimen", self._page, pages.ALL)
        pages.add(app, "POST", "/console/specimen", self._sent, pages.ALL)
        pages.add(app, "POST", "/console/specimen/check", self._check, pages.ALL)
        pages.add(app, "GET", "/console/specimen/progress", self._progress, pages.ALL)
        pages.add(
            app,
            "GET",
            "/console/specimen/completions",
            lambda _: JSONResponse(COMPLETIONS),
            pages.ALL,
        )
        pages.add(app, "GET", "/console/specimen/chart", lambda _: JSONResponse(CHART), pages.ALL)
        pages.add(app, "GET", "/console/specimen/frame", self._frame, pages.ALL)

    def _page(self, request):
        names = [f"dataset_{number:02}" for number in range(60)]
        refused = PolicyError(
            "P001", rule="R3", what=("id_number is never shown", "身份证号不得显示")
        )
        return pages.render(
            request, "specimen.html", listing=listing.listed(request, names, str), sql=SQL,
            refused=problem(refused, pages.locale(request)),
            at=datetime(2026, 3, 1, 8, 5, tzinfo=UTC), diagnostics=json.dumps(CHECKED["diagnostics"]),
        )  # fmt: skip

    def _sent(self, request):
        word = forms.form_of(request).one("word")
        return pages.redirect(request, "/console/specimen", (f"Sent: {word}", f"已提交：{word}"))

    def _check(self, request):
        self.checks.append(forms.form_of(request).text("sql"))
        return JSONResponse(CHECKED if "id_number" in self.checks[-1] else {"diagnostics": []})

    def _progress(self, request):
        return pages.render(request, "progress.html")

    def _frame(self, request):
        return pages.render(request, "inline.html")


@contextmanager
def listening(made: Specimen) -> Iterator[None]:
    """Serve a specimen at a free port of this machine; its ``url`` says where."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(made.app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield
        server.should_exit = True
        thread.join()
