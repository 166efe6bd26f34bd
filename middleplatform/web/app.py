"""The application as a server starts it: ``uvicorn --factory middleplatform.web.app:create``."""

import asyncio
import os
import signal
from contextlib import suppress

from fastapi import FastAPI

from middleplatform import settings
from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.governance.kept import Kept, end_left_behind
from middleplatform.governance.shared import open_tokens
from middleplatform.governance.watching import spread, watch
from middleplatform.login.opened import open_login
from middleplatform.web.api import build
from middleplatform.web.jobs import Bounds
from middleplatform.web.services import Services

__all__ = ["create"]


def create() -> FastAPI:
    """Open the platform by the settings in the environment and return the application over it.

    Raises:
        MiddleplatformError: What keeps it from starting.
    """
    chosen = settings.load()
    clock, rng = SystemClock(), SystemRng()
    tokens = open_tokens(chosen, clock, rng)
    operator_log = OperatorLog(chosen.state / "operator.log", clock, rng)
    operator_log.attach()
    platform = open_platform(chosen, governed=True)

    def closing() -> None:
        platform.close()
        tokens.close()

    def look() -> None:
        platform.detect(platform.gateway.bundle)
        with suppress(Exception):  # ahead of time only: a question finds by itself what is wrong
            platform.gateway.read_ahead()

    async def beside() -> None:
        if platform.lifecycle is not None and platform.standing is not None:
            watched = watch(
                platform.lifecycle,
                platform.standing,
                platform.publish,
                also=look,
            )
            assert platform.telling is not None, "a platform with a store tells its nodes"
            tell = platform.gateway.dispatcher.tell
            await asyncio.gather(watched, spread(platform.telling.look, tell))

    login = None
    if platform.lifecycle is not None:
        desk = platform.lifecycle.desk
        login = open_login(chosen, desk.store, desk, tokens, PERSONAS, clock, rng)
    bounds = Bounds(running_max=chosen.queries_max, own_running_max=chosen.queries_own_max)
    return build(
        platform.gateway,
        tokens,
        operator_log,
        bounds,
        closing=closing,
        beside=beside,
        services=Services(platform, login),
        kept=_kept(platform),
    )


def _kept(platform: Platform) -> Kept | None:
    """Return the questions of all gateways where several share the store, and end those of gateways that are gone."""
    member, gateway = platform.member, platform.gateway
    if member is None:
        return None

    def finish() -> None:
        end_left_behind(member, gateway.audit, lambda: gateway.bundle.digest, gateway.clock)

    def lost() -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # whoever watches over it starts it again

    member.serve(finish, lost)
    return Kept(member, gateway.audit)
