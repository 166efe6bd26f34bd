"""``connector``: what a department's engineer does to have a source answered from."""

import argparse
import getpass
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import connector_views as views
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.cli.progress import shown
from middleplatform.cli.sources import bundle_folder, catalog_folder, open_catalog
from middleplatform.errors import ConfigError, MiddleplatformError

if TYPE_CHECKING:
    from middleplatform.model.catalog import Catalog
    from middleplatform.model.record import AuditRecord
    from middleplatform.ports import Progress

__all__ = ["add"]


def add(commands: Commands, say: Say) -> None:
    """Declare them all."""
    text = say("A department's connectors to its own sources", "部门数据源的连接器登记")
    mine = group(commands, say, "connector", text)
    _add_add(mine, say)
    made = _leaf(mine, say, "map", _map, say("Set or confirm where datasets lie", "设置或确认映射"))
    _mapping(made, say)
    _leaf(
        mine,
        say,
        "list",
        _list,
        say("List the registered connectors", "列出已登记的连接器"),
        named=False,
    )
    _leaf(
        mine,
        say,
        "show",
        _show,
        say("Show all that is registered of one", "显示某一登记的全部内容"),
    )
    text = say(
        "Connect, compare with what is registered, try every dataset",
        "连接并检验：结构、类型与试查询",
    )
    _leaf(mine, say, "test", _test, text)
    text = say(
        "Count inside the department what keeps to the data standards; propose classes",
        "在部门内部统计数据质量，并提出分级分类建议",
    )
    made = _leaf(mine, say, "profile", _profile, text)
    made.add_argument(
        "--progress",
        action="store_true",
        help=say("tell each step, also where nobody looks", "逐步显示进度"),
    )
    text = say("Publish: from now on the node answers from it", "发布：此后节点由其应答")
    made = _leaf(mine, say, "publish", _publish, text)
    made.add_argument(
        "--by",
        metavar="NAME",
        help=say("who publishes; the login unless said", "发布人，默认为登录名"),
    )
    made.add_argument(
        "--bundle", type=Path, metavar="DIR",
        help=say("the department's policy; that of the settings unless said", "部门策略包，默认取配置"),
    )  # fmt: skip


def _leaf(
    mine: Commands, say: Say, name: str, run: Runs, text: str, *, named: bool = True
) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, _detailed(run), text)
    if named:
        made.add_argument("name", metavar="NAME", help=say("the connector's name", "连接器名称"))
    made.add_argument(
        "--state", type=Path, required=True, metavar="DIR",
        help=say("the node's state folder", "节点状态文件夹"),
    )  # fmt: skip
    made.add_argument(
        "--catalog", type=Path, metavar="DIR",
        help=say("the department's catalogue; that of the settings unless said", "部门目录，默认取配置"),
    )  # fmt: skip
    made.add_argument(
        "--allow", action="append", default=[], metavar="KIND=DISTRIBUTION",
        help=say("a third-party connector that may be loaded", "允许加载的第三方连接器"),
    )  # fmt: skip
    return made


def _add_add(mine: Commands, say: Say) -> None:
    text = say(
        "Register a connector: connect, read the schema, map it",
        "登记连接器：连接、读取结构、建立映射",
    )
    made = _leaf(mine, say, "add", _add, text)
    made.add_argument(
        "--kind", required=True, metavar="KIND",
        help=say("duckdb, sqlite, postgres, spark ...", "类型：duckdb、sqlite、postgres、spark 等"),
    )  # fmt: skip
    made.add_argument(
        "--department",
        required=True,
        metavar="CODE",
        help=say("whose source it is, e.g. ga", "部门代码，如 ga"),
    )
    made.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE",
        help=say(
            "what the connector is made with; a password as password_file or password_env",
            "连接选项；口令用 password_file 或 password_env",
        ),
    )  # fmt: skip
    _mapping(made, say)
    made.add_argument("--replace", action="store_true", help=say("register it anew", "重新登记"))


def _mapping(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--map", action="append", default=[], metavar="X=Y",
        help=say(
            "dataset=table or dataset.column=physical column; nothing after = takes it away",
            "数据集=表，或 数据集.列=物理列；= 后留空表示取消",
        ),
    )  # fmt: skip
    made.add_argument(
        "--accept",
        action="store_true",
        help=say("confirm every proposed mapping", "确认全部建议映射"),
    )


# --- what all of them share -------------------------------------------------------------------------------------------


def _detailed(run: Runs) -> Runs:
    """Show the source's own words too: who registers a connector is its operator."""

    def detailed(context: Context, options: argparse.Namespace) -> int:
        try:
            return run(context, options)
        except MiddleplatformError as error:
            if error.detail and not context.as_json:
                detail = printable.line(error.detail)
                context.tell(f"The source says: {detail}", f"数据源返回：{detail}")
            raise

    return detailed


def _catalog(context: Context, options: argparse.Namespace) -> "Catalog":
    return open_catalog(options.catalog or catalog_folder(context.settings))


def _allowed(options: argparse.Namespace) -> Mapping[str, str]:
    found = {}
    for each in options.allow:
        kind, separator, distribution = each.partition("=")
        if not (kind and separator and distribution):
            what = (f"--allow {each}: write KIND=DISTRIBUTION", f"--allow {each}：应为 类型=发行包")
            raise ConfigError("C003", what=what)
        found[kind] = distribution
    return found


# --- the commands -----------------------------------------------------------------------------------------------------


def _add(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.options import parsed  # noqa: PLC0415 - engines are slow to import
    from middleplatform.node.registration.register import Request, register  # noqa: PLC0415 - the same

    request = Request(
        name=options.name,
        department=options.department,
        kind=options.kind,
        options=parsed(options.name, options.option),
        mappings=options.map,
        accept=options.accept,
        replace=options.replace,
    )
    found = register(
        options.state, request, _catalog(context, options), SystemClock(), _allowed(options)
    )
    views.found(context, found)
    return 0


def _map(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.register import remap  # noqa: PLC0415 - engines are slow to import

    found = remap(
        options.state, options.name, options.map, _catalog(context, options),
        accept=options.accept, allowed=_allowed(options),
    )  # fmt: skip
    views.found(context, found)
    return 0


def _list(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.files import load_one, names  # noqa: PLC0415 - slow to import

    views.listed(context, [load_one(options.state, name) for name in names(options.state)])
    return 0


def _show(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.files import load_one, text_of  # noqa: PLC0415 - slow to import
    from middleplatform.node.registration.profile import profile_of  # noqa: PLC0415 - the same

    found = load_one(options.state, options.name)
    profile = profile_of(options.state, found)
    if context.as_json:
        context.emit(views.registration(found) | {"profile": profile})
        return 0
    context.write(printable.text(text_of(found)))
    if profile is not None:
        views.profile(context, profile)
    return 0


def _test(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.trial import passed, run_test  # noqa: PLC0415 - slow to import

    checks = run_test(
        options.state, options.name, _catalog(context, options), SystemClock(), _allowed(options)
    )
    views.checks(context, checks)
    return 0 if passed(checks) else ConfigError.exit_code


def _profile(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.node.registration.profile import make_profile  # noqa: PLC0415 - slow to import

    catalog = _catalog(context, options)
    with _told(context, always=options.progress) as progress:
        found = make_profile(
            options.state, options.name, catalog, SystemClock(), progress, _allowed(options)
        )
    views.profile(context, found)
    return 0


@contextmanager
def _told(context: Context, *, always: bool) -> "Iterator[Progress | None]":
    with shown(context.err, context.say) as display:
        if display is not None or not always:
            yield display
            return

        def tell(stage: str, done: int, total: int) -> None:
            context.tell(
                f"{stage}: statement {done} of {total}", f"第 {done} 条语句，共 {total} 条"
            )

        yield tell


def _publish(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.node.registration.files import load_one  # noqa: PLC0415 - the same
    from middleplatform.node.registration.publication import Publisher, publish  # noqa: PLC0415 - the same

    catalog = _catalog(context, options)
    bundle = policy.load(options.bundle or bundle_folder(context.settings), catalog)
    department = load_one(options.state, options.name).department
    with ExitStack() as stack:
        progress = stack.enter_context(shown(context.err, context.say))
        publisher = Publisher(
            catalog=catalog,
            bundle=bundle,
            clock=SystemClock(),
            by=options.by or getpass.getuser(),
            log=_log(context, options.state, department, stack),
            allowed=_allowed(options),
            progress=progress,
        )
        found = publish(options.state, options.name, publisher)
    if context.as_json:
        context.emit(views.registration(found))
        return 0
    names = ", ".join(found.datasets)
    context.tell(
        f"{found.name} is published: {names}. A running node takes it when it is started again.",
        f"{found.name} 已发布：{names}。运行中的节点重启后生效。",
    )
    return 0


def _log(
    context: Context, state: Path, department: str, stack: ExitStack
) -> "Callable[[AuditRecord], object] | None":
    """Open the node's log when its first entry comes; None where the node is not enrolled and has none.

    Raises (when called):
        AuditError: A003 a running node has it; then nothing is published.
    """
    from middleplatform.enrolment.folder import Folder  # noqa: PLC0415 - only needed here
    from middleplatform.enrolment.member import node_folder  # noqa: PLC0415 - the same
    from middleplatform.node.journal import Journal  # noqa: PLC0415 - the same

    folder = Folder(node_folder(state))
    if not folder.owner_file.exists():
        context.tell(
            "There is no node here yet (node init): no entry is made in its log.",
            "此处尚无节点（node init）：不写入节点日志。",
        )
        return None
    platform = folder.owner().platform

    def enter(record: "AuditRecord") -> object:
        journal = stack.enter_context(
            Journal.open(state, department, platform, SystemClock(), SystemRng())
        )
        return journal.event(record.event, record.body)

    return enter
