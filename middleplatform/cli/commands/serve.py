"""``serve``: the HTTP service. Started by name, since ``cli`` does not see ``web``."""

import argparse
import dataclasses
import os
import socket

from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.errors import ConfigError
from middleplatform.settings import Settings

__all__ = ["add", "run"]

_APPLICATION = "middleplatform.web.app:create"
_BACKLOG = 256
_GRACE_S = 10


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    text = say("Serve the REST interface", "启动 REST 服务")
    made = leaf(commands, say, "serve", run, text, json_too=False)
    made.add_argument("--host", help=say("address to listen on", "监听地址"))
    made.add_argument(
        "--port", type=int, help=say("port; 0 for any free one", "端口；0 表示任选空闲端口")
    )


def run(context: Context, options: argparse.Namespace) -> int:
    """Serve until interrupted; interrupting is the usual way to stop and ends with 0."""
    import uvicorn  # noqa: PLC0415 - slow to import, only needed here

    said = {name: getattr(options, name) for name in ("host", "port")}
    given = {name: value for name, value in said.items() if value is not None}
    settings = dataclasses.replace(context.settings, **given)
    with _listener(settings) as listener:
        _hand_over(settings)
        config = uvicorn.Config(
            _APPLICATION, factory=True, log_level="warning", access_log=False,
            server_header=False, timeout_graceful_shutdown=_GRACE_S,
        )  # fmt: skip
        config.load()  # opens the platform: what it refuses is told like any other error
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        context.tell(f"Serving http://{shown}:{port}/v1", f"服务地址 http://{shown}:{port}/v1")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return 0
    return 0


def _listener(settings: Settings) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: C003 when the address cannot be had.
    """
    try:
        return socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        what = (f"cannot listen on {where}", f"无法监听 {where}")
        raise ConfigError("C003", what=what, detail=str(error)) from None


def _hand_over(settings: Settings) -> None:
    """Leave the settings where the application reads its own: in the environment."""
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        os.environ[f"MIDDLEPLATFORM_{each.name.upper()}"] = "" if value is None else str(value)
