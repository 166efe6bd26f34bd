"""Put the application together from a gateway and its surroundings."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from middleplatform.access.operator_log import OperatorLog
from middleplatform.governance.kept import Kept
from middleplatform.login.configured import Limits
from middleplatform.web import bodies, problems, routes
from middleplatform.web.checks import Checks
from middleplatform.web.console import app as console
from middleplatform.web.guard import ENDPOINTS, GuardedRoute, Tokens
from middleplatform.web.jobs import Bounds, JobTable
from middleplatform.web.limits import RateLimits
from middleplatform.web.places import Places
from middleplatform.web.services import Services
from middleplatform.web.shared_jobs import SharedJobTable
from middleplatform.web.shell import REQUESTS_MAX, Shell
from middleplatform.web.simulations import Simulations

if TYPE_CHECKING:
    from middleplatform.gateway import Gateway

__all__ = ["build"]


def build(  # noqa: PLR0913 - the gateway and all around it
    gateway: "Gateway",
    tokens: Tokens,
    operator_log: OperatorLog,
    bounds: Bounds,
    *,
    timer: Callable[[], float] = time.monotonic,
    requests_max: int = REQUESTS_MAX,
    closing: Callable[[], None] = lambda: None,
    beside: Callable[[], Coroutine[None, None, None]] | None = None,
    services: Services | None = None,
    limits: Limits | None = None,
    kept: Kept | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        gateway: What answers.
        tokens: Who may call.
        operator_log: Where unexpected exceptions go.
        bounds: Of the table of questions.
        timer: Monotonic seconds, for the expiry of answers.
        requests_max: Requests under way at once.
        closing: Called once when the server stops.
        beside: Runs beside the service on its event loop, and is canceled when the server stops.
        services: The desks of governance; None where only questions are answered.
        limits: How fast anybody may ask; as the login's settings say unless given.
        kept: Questions of all gateways that share a store; None where there is one gateway.
    """
    jobs = _table(gateway, bounds, timer, operator_log, kept)
    simulations = Simulations(gateway.rng, operator_log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = None if beside is None else asyncio.create_task(beside())
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
            await jobs.close()
            await simulations.close()
            closing()

    app = FastAPI(
        title="middleplatform",
        version=version("middleplatform"),
        summary="Governed SQL over the data of many departments; answers are aggregates.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.gateway, app.state.tokens = gateway, tokens
    app.state.operator_log, app.state.jobs = operator_log, jobs
    app.state.services, app.state.simulations = services, simulations
    app.state.places = Places(requests_max)
    app.state.checks, app.state.drafts = Checks(), Checks()
    app.state.inspections = Checks(at_once=1, own_max=2)
    app.router.route_class = GuardedRoute
    problems.install(app)
    routes.register(app)
    if services is not None:
        console.register(app)
    app.add_middleware(RateLimits, limits=limits or _usual(services))
    app.add_middleware(Shell, operator_log=operator_log, requests_max=requests_max)
    _describe(app)
    return app


def _table(
    gateway: "Gateway",
    bounds: Bounds,
    timer: Callable[[], float],
    operator_log: OperatorLog,
    kept: Kept | None,
) -> JobTable:
    around = (gateway, bounds, timer, operator_log)
    return JobTable(*around) if kept is None else SharedJobTable(*around, kept)


def _usual(services: Services | None) -> Limits:
    """Return how fast anybody may ask as the login's settings say."""
    login = None if services is None else services.login
    return Limits() if login is None else login.config.limits


def _describe(app: FastAPI) -> None:
    """Add to the OpenAPI document what the framework cannot know: the roles and the problems."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            parts = document.setdefault("components", {})
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema = bodies.ProblemBody.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            parts["schemas"] = dict(
                sorted((parts["schemas"] | schema.pop("$defs") | {"ProblemBody": schema}).items())
            )
            for (method, path), roles in ENDPOINTS.items():
                operation = document["paths"][path][method.lower()]
                operation["security"] = [] if roles is None else [{"token": []}]
                operation["x-roles"] = sorted(roles or ())
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # the framework's documented way
