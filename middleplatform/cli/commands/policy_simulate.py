"""``policy simulate``: judge the questions of the audit log again under a candidate; no department is contacted."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import printable
from middleplatform.cli.commands import reconcile
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.logs import is_shared, open_shared_log
from middleplatform.cli.parser import Commands, leaf
from middleplatform.cli.progress import shown
from middleplatform.cli.sources import bundle_folder, catalog_folder, open_catalog, read_bundle_path

if TYPE_CHECKING:
    from middleplatform.governance.granted import Granted
    from middleplatform.governance.replay import Asked, Window
    from middleplatform.governance.simulation import Outcome, Simulation, Tally
    from middleplatform.model.catalog import Catalog
    from middleplatform.model.policy import Bundle
    from middleplatform.policy.suite import Verdict

__all__ = ["add"]

_SHOWN_MAX = 20


def add(mine: Commands, say: Say) -> None:
    """Declare it."""
    text = say("Judge audited questions again under a candidate", "用候选策略重新判定审计中的查询")
    made = leaf(mine, say, "simulate", _simulate, text)
    made.add_argument(
        "path",
        type=Path,
        metavar="CANDIDATE",
        help=say("the candidate's folder or file", "候选策略包的目录或文件"),
    )
    for option, name, text in (
        ("replay", "WINDOW", say(
            "which questions: 30d, or DATE..DATE, both days included (UTC); 30d unless said",
            "时间窗：30d，或 DATE..DATE（含首尾两日，UTC），默认 30d")),
        ("now", "TIME", say(
            "judge all at this moment, not each at its own", "全部按此时刻判定，而非各自提出的时刻")),
    ):  # fmt: skip
        made.add_argument(f"--{option}", metavar=name, help=text)
    for option, text in (
        ("log", say(
            "the log's database, or an export of it; the platform's unless said",
            "日志数据库或其导出文件，默认为平台日志")),
        ("key", say("the log's public keys; those beside it unless said", "日志公钥，默认取其同目录")),
    ):  # fmt: skip
        made.add_argument(f"--{option}", type=Path, metavar="FILE", help=text)


def _simulate(context: Context, options: argparse.Namespace) -> int:
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.governance.grants_in_force import with_all  # noqa: PLC0415 - the same
    from middleplatform.governance.replay import Window  # noqa: PLC0415 - the same
    from middleplatform.governance.simulate import simulate  # noqa: PLC0415 - so is the engine

    window = Window.read(options.replay or "30d", SystemClock().now())
    now = reconcile.moment(options.now)
    path = read_bundle_path(options.path)
    catalog = open_catalog(catalog_folder(context.settings))
    current, grants = _in_force(context, catalog)
    candidate = with_all(policy.load(path, catalog), grants)
    questions = _asked(context, options, window)
    with shown(context.err, context.say) as progress:
        found = simulate(candidate, current, catalog, questions, now=now, progress=progress)
    if context.as_json:
        context.emit(_shape(context, found, window))
    else:
        _print(context, found)
    return 0


def _in_force(context: Context, catalog: "Catalog") -> "tuple[Bundle, tuple[Granted, ...]]":
    """Return the bundle in force with the grants that applications yield, and these grants.

    It is the newest published version; without a store, the bundle that the settings name.
    """
    from middleplatform import policy  # noqa: PLC0415 - slow to import

    settings = context.settings
    configured = policy.load(bundle_folder(settings), catalog)
    if not settings.store and not (settings.state / "store.db").exists():
        return configured, ()
    from middleplatform.governance.grants_in_force import (  # noqa: PLC0415 - the same
        GrantsInForce,
        with_all,
    )
    from middleplatform.governance.opened import open_lifecycle  # noqa: PLC0415 - so is the store

    with open_lifecycle(
        settings, catalog, configured, SystemClock(), SystemRng(), acting=False
    ) as lifecycle:
        grants = GrantsInForce(lifecycle.desk.store).current()
        return with_all(lifecycle.standing().bundle, grants), grants


def _asked(context: Context, options: argparse.Namespace, window: "Window") -> "tuple[Asked, ...]":
    from middleplatform.governance.replay import asked  # noqa: PLC0415 - slow to import

    if options.log is None and is_shared(context):
        with open_shared_log(context, options.key) as shared:
            return asked(shared.entries(), window)
    log = options.log or context.settings.state / "audit.db"
    with reconcile.opened(context, log, options.key) as (_, _, entries):
        return asked(entries, window)


# --- for a program --------------------------------------------------------------------------------


def _shape(context: Context, found: "Simulation", window: "Window") -> dict[str, object]:
    from middleplatform.governance.simulation import Kind  # noqa: PLC0415 - slow to import

    return {
        "current": found.current, "candidate": found.candidate,
        "window": {"start": window.start.isoformat(), "stop": window.stop.isoformat()},
        "questions": len(found.outcomes) + len(found.unjudged), "judged": len(found.outcomes),
        **{str(kind): len(found.of(kind)) for kind in Kind},
        "by_rule": _tallies(found.by_rule()), "by_analyst": _tallies(found.by_analyst()),
        "by_dataset": _tallies(found.by_dataset()),
        "changes": [_change(each) for each in found.changes],
        "not_judged": [
            {**_who(each.asked), "reason": str(each.why), "what": _why(context, each.why)}
            for each in found.unjudged
        ],
    }  # fmt: skip


def _tallies(found: "Sequence[Tally]") -> list[dict[str, object]]:
    return [
        {"name": each.name, **{str(kind): count for kind, count in each.counts.items() if count}}
        for each in found
    ]


def _who(asked: "Asked") -> dict[str, object]:
    return {
        "index": asked.index, "query_id": asked.query_id, "subject": asked.subject,
        "at": asked.at.isoformat(), "ended": asked.ended.event,
    }  # fmt: skip


def _change(each: "Outcome") -> dict[str, object]:
    return {
        **_who(each.asked), "kind": str(each.kind), "names": list(each.names),
        "datasets": list(each.datasets), "before": _verdict(each.before), "after": _verdict(each.after),
        "terms": {term.name: [term.before, term.after] for term in each.terms},
    }  # fmt: skip


def _verdict(said: "Verdict") -> dict[str, str]:
    return {"verdict": said.verdict, "rule": said.rule, "code": said.code}


# --- for a person ---------------------------------------------------------------------------------


def _print(context: Context, found: "Simulation") -> None:
    say = context.say
    for title, tallies in (
        (say("By rule", "按规则"), found.by_rule()),
        (say("By analyst", "按人员"), found.by_analyst()),
        (say("By dataset", "按数据集"), found.by_dataset()),
    ):
        if tallies:
            context.out.print(_counts(context, title, tallies))
    if found.changes:
        context.out.print(_changed(context, found.changes))
    for why, count in found.by_reason().items():
        context.tell(
            f"{count} not judged: {_why(context, why)}", f"{count} 条无法判定：{_why(context, why)}"
        )
    denied, allowed = len(found.allow_to_deny), len(found.deny_to_allow)
    other = len(found.changes) - denied - allowed
    context.tell(
        f"{len(found.outcomes)} questions judged: {denied} allow → deny, {allowed} deny → allow, {other} otherwise"
        " changed.",
        f"已判定 {len(found.outcomes)} 条查询：{denied} 条由允许变为拒绝，{allowed} 条由拒绝变为允许，"
        f"{other} 条有其他变化。",
    )


def _counts(context: Context, title: str, tallies: "Sequence[Tally]") -> Table:
    from middleplatform.governance.simulation import KINDS, Kind  # noqa: PLC0415 - slow to import

    kinds = [kind for kind in Kind if kind is not Kind.SAME]
    table = Table(title=title)
    table.add_column(context.say("what", "项目"), overflow="fold")
    for kind in kinds:
        table.add_column(pick(KINDS[kind], context.locale), justify="right")
    for each in tallies:
        counts = (str(each.counts[kind] or "") for kind in kinds)
        table.add_row(Text(printable.line(each.name)), *counts)
    return table


def _changed(context: Context, changes: "Sequence[Outcome]") -> Table:
    from middleplatform.governance.simulation import KINDS  # noqa: PLC0415 - slow to import

    say = context.say
    title = say(
        f"Changed, the first {_SHOWN_MAX} (--json lists all; audit show ENTRY tells one)",
        f"有变化的查询，前 {_SHOWN_MAX} 条（--json 列出全部，audit show 查看单条）",
    )
    table = Table(title=title if len(changes) > _SHOWN_MAX else say("Changed", "有变化的查询"))
    for name in (
        say("entry", "记录"), say("who", "人员"), say("change", "变化"), say("by", "依据"), say("datasets", "数据集"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in changes[:_SHOWN_MAX]:
        parts = (
            str(each.asked.index), each.asked.subject, pick(KINDS[each.kind], context.locale),
            ", ".join(each.names), ", ".join(each.datasets),
        )  # fmt: skip
        table.add_row(*(Text(printable.line(part)) for part in parts))
    return table


def _why(context: Context, why: object) -> str:
    from middleplatform.governance.replay import WHY, Why  # noqa: PLC0415 - slow to import

    return pick(WHY[Why(str(why))], context.locale)
