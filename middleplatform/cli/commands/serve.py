"""``serve``: the HTTP service, console and REST. Started by name, since ``cli`` does not see ``web``."""

import argparse
import dataclasses
import os
import socket
from typing import TYPE_CHECKING, Any

from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.errors import ConfigError
from middleplatform.settings import Settings

if TYPE_CHECKING:
    import uvicorn

__all__ = ["add", "run"]

_APPLICATION = "middleplatform.web.app:create"
_BACKLOG = 256
_GRACE_S = 10


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    text = say("Serve the console and the REST interface", "启动控制台与 REST 服务")
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
        address = f"http://{shown}:{port}"
        context.tell(f"Serving {address}/v1", f"服务地址 {address}/v1")
        context.tell(f"Console {address}/console", f"控制台   {address}/console")
        _tell_logins(context, config)
        context.tell("Ctrl-C stops it.", "按 Ctrl-C 停止。")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            return 0
    return 0


def _tell_logins(context: Context, config: "uvicorn.Config") -> None:
    """Show the codes of the demonstration, if this is one: the only time that anybody sees them."""
    application: Any = config.loaded_app
    while not hasattr(application, "state"):
        application = application.app  # the server's own layers
    login = application.state.services.login
    shown = login.demo.shown_once() if login is not None and login.demo is not None else ()
    if not shown:
        return
    context.tell(
        "Logins of this demonstration, shown once, until the service stops:",
        "演示登录码，仅显示一次，服务停止后失效：",
    )
    for each in shown:
        line = f"  {each.code}  {each.persona} ({', '.join(each.roles)})"
        context.tell(line, line)


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
