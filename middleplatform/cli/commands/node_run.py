"""``node serve`` and ``node own``: run a department's node, and ask it about the department's own data."""

import argparse
from pathlib import Path

from rich.table import Table

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.cli.printable import line
from middleplatform.errors import ConfigError

__all__ = ["add_run", "add_serve"]


def add_run(mine: Commands, say: Say) -> None:
    """Declare them."""
    add_serve(mine, say)
    own = leaf(
        mine, say, "own", _own,
        say("Ask a running node about the department's own data", "向运行中的节点查询本部门自有数据"),
    )  # fmt: skip
    _add_config(own, say)
    own.add_argument("sql", metavar="SQL", help=say("the question", "查询语句"))
    own.add_argument("--steward", required=True, metavar="LOGIN", help=say("who asks", "查询人"))
    own.add_argument("--purpose", required=True, metavar="PURPOSE", help=say("why", "用途"))


def add_serve(mine: Commands, say: Say, party: str = "") -> None:
    """Declare ``serve``.

    Args:
        mine: Where.
        say: The language.
        party: Whose settings they must be; anybody's when empty.
    """
    serve = leaf(
        mine, say, "serve", _serve,
        say("Run the node until it is asked to stop", "运行节点，直到收到停止信号"), json_too=False,
    )  # fmt: skip
    serve.set_defaults(party=party)
    _add_config(serve, say)


def _add_config(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help=say("the node's settings (node.yaml)", "节点配置（node.yaml）"),
    )


def _serve(context: Context, options: argparse.Namespace) -> int:
    """Serve; interrupting is the usual way to stop and ends with 0."""
    from middleplatform.enrolment.passphrases import from_file  # noqa: PLC0415 - slow to import
    from middleplatform.enrolment.trust import Trust  # noqa: PLC0415 - the same
    from middleplatform.node.config import load  # noqa: PLC0415 - the same
    from middleplatform.node.server.run import serve  # noqa: PLC0415 - the same
    from middleplatform.node.start import open_configured  # noqa: PLC0415 - the same

    config = load(options.config)
    if options.party not in ("", config.department):
        what = (
            f"{options.config.name}: department must be {options.party}",
            f"{options.config.name}：department 应为 {options.party}",
        )
        raise ConfigError("C003", what=what)
    clock, rng = SystemClock(), SystemRng()
    OperatorLog(config.state / "operator.log", clock, rng).attach()
    passphrase = None if config.passphrase_file is None else from_file(config.passphrase_file)
    trust = Trust.open(config.trust, config.department, clock, passphrase)
    opened = open_configured(config, trust, clock, rng)

    def ready(address: str) -> None:
        text = context.say(
            f"{config.department} listens on {address}", f"{config.department} 正在监听 {address}"
        )
        context.write(text + "\n")
        context.out.file.flush()

    try:
        serve(config, trust, opened, ready)
    finally:
        opened.close()
    return 0


def _own(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.config import load  # noqa: PLC0415 - slow to import
    from middleplatform.node.desk_client import ask_own  # noqa: PLC0415 - the same

    config = load(options.config)
    if not config.socket.exists():
        what = (f"no node runs on {config.state}", f"{config.state} 上没有运行中的节点")
        raise ConfigError("C003", what=what)
    found = ask_own(
        config.socket, config.department, options.steward, options.sql, options.purpose, config.limits.timeout_s
    )  # fmt: skip
    if context.as_json:
        context.emit(found)
        return 0
    table = Table()
    for name in found["columns"]:
        table.add_column(line(name))
    for row in found["rows"]:
        table.add_row(*("" if value is None else line(str(value)) for value in row))
    context.out.print(table)
    context.tell(
        f"entry {found['entry']} of the department's log", f"本部门日志第 {found['entry']} 条"
    )
    return 0
