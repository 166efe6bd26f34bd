"""Freezes at the command line: opened for a moment, as JSON, and as a table."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.sources import bundle_folder, catalog_folder, open_catalog

if TYPE_CHECKING:
    from middleplatform.governance.freezes import Freezing, Standing
    from middleplatform.store.freezes import Alert

__all__ = ["alert_shape", "opened_freezing", "print_alerts", "print_freezes", "shape"]

_SCOPES = {
    "platform": ("platform", "平台"), "department": ("department", "部门"), "dataset": ("dataset", "数据集"),
    "user": ("user", "用户"), "project": ("project", "项目"),
}  # fmt: skip
_STATES = {
    "open": ("holds", "生效中"), "lifted": ("lifted", "已解除"), "ended": ("ended", "已到期"),
    "drill": ("drill", "演练"),
}  # fmt: skip
_SIGNALS = {
    "refusals": ("refusals", "被拒绝"), "near_duplicates": ("near-duplicates", "近似语句"),
    "budget": ("budget", "隐私预算"), "purposes": ("purposes", "使用目的"),
}  # fmt: skip


@contextmanager
def opened_freezing(context: Context, *, acting: bool = True) -> Iterator["Freezing"]:
    """Open the desk of stops.

    Args:
        context: Of the command.
        acting: Whether anything will be done; who only looks does not touch the log.

    Raises:
        ConfigError: C001, C002, C003, C011 or C015.
        AuditError: A002 the log does not verify.
    """
    from middleplatform import policy  # noqa: PLC0415 - slow to import
    from middleplatform.governance.freezes import Freezing  # noqa: PLC0415 - the same
    from middleplatform.governance.opened import open_lifecycle  # noqa: PLC0415 - the same

    settings = context.settings
    catalog = open_catalog(catalog_folder(settings, settings.bundle))
    configured = policy.load(bundle_folder(settings), catalog)
    parts = (settings, catalog, configured, SystemClock(), SystemRng())
    with open_lifecycle(*parts, acting=acting) as lifecycle:
        yield Freezing(lifecycle.desk, catalog)


def shape(standing: "Standing") -> dict[str, Any]:
    """Return a freeze and how far its end is, JSON-ready."""
    freeze = standing.freeze
    return {
        "number": freeze.number,
        "scope": str(freeze.scope),
        "target": freeze.target,
        "state": standing.state,
        "drill": freeze.drill,
        "reason": freeze.reason,
        "by": freeze.by,
        "department": freeze.department,
        "capacity": freeze.capacity,
        "at": freeze.at.isoformat(),
        "ends": freeze.ends.isoformat() if freeze.ends else None,
        "lifted_at": freeze.lifted_at.isoformat() if freeze.lifted_at else None,
        "consents": [
            {
                "person": each.person,
                "department": each.department,
                "capacity": each.capacity,
                "reason": each.reason,
                "at": each.at.isoformat(),
            }
            for each in standing.consents
        ],
    }


def alert_shape(alert: "Alert") -> dict[str, Any]:
    """Return an alert, JSON-ready."""
    return {
        "number": alert.number,
        "signal": alert.signal,
        "per": alert.per,
        "target": alert.target,
        "measured": alert.measured,
        "most": alert.most,
        "minutes": alert.minutes,
        "person": alert.person,
        "department": alert.department,
        "project": alert.project,
        "entry": alert.entry,
        "at": alert.at.isoformat(),
        "freeze": alert.freeze,
    }


def print_freezes(context: Context, many: Sequence["Standing"]) -> None:
    """Print one line for each freeze."""
    say = context.say
    table = _table(
        say("number", "编号"), say("what", "范围"), say("which", "对象"), say("state", "状态"), say("since", "起始"),
        say("until", "截止"), say("by", "实施人"), say("reason", "理由"), say("agreed to end it", "同意解除"),
    )  # fmt: skip
    for each in many:
        freeze = each.freeze
        state = "drill" if freeze.drill and each.state == "open" else each.state
        _row(
            table, str(freeze.number), say(*_SCOPES[freeze.scope]), freeze.target, say(*_STATES[state]),
            f"{freeze.at:%Y-%m-%d %H:%M}", f"{freeze.ends:%Y-%m-%d %H:%M}" if freeze.ends else "",
            freeze.by or say("policy", "策略"), freeze.reason,
            ", ".join(one.person for one in each.consents),
        )  # fmt: skip
    context.out.print(table)


def print_alerts(context: Context, many: Sequence["Alert"]) -> None:
    """Print one line for each alert."""
    say = context.say
    table = _table(
        say("number", "编号"), say("signal", "信号"), say("counted for", "统计对象"), say("came to", "统计值"),
        say("most", "上限"), say("minutes", "分钟"), say("last asked by", "最近提问人"), say("at", "时间"),
        say("entry", "日志序号"), say("freeze", "冻结"),
    )  # fmt: skip
    for each in many:
        _row(
            table, str(each.number), say(*_SIGNALS[each.signal]), f"{_counted(each, say)} {each.target}",
            each.measured, each.most, str(each.minutes), each.person, f"{each.at:%Y-%m-%d %H:%M}",
            str(each.entry), str(each.freeze or ""),
        )  # fmt: skip
    context.out.print(table)


def _counted(alert: "Alert", say: Say) -> str:
    return say(*_SCOPES[alert.per])


def _table(*names: str) -> Table:
    table = Table()
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _row(table: Table, *parts: str) -> None:
    table.add_row(*(Text(printable.line(part)) for part in parts))
