"""``policy``: from a draft to the version in force. Propose, approve, reject, withdraw, publish, roll back.

Who acts says so with a service token. A person of the demonstration may be named instead, in the demonstration only.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import printable
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say, pick
from middleplatform.cli.parser import Commands, Runs, leaf
from middleplatform.cli.person import add_person, person
from middleplatform.cli.sources import bundle_folder, catalog_folder, open_catalog

if TYPE_CHECKING:  # the store and the engine take a moment to import; --help must not
    from collections.abc import Iterable

    from middleplatform.governance.diff import Difference
    from middleplatform.governance.lifecycle import Lifecycle, Weighed
    from middleplatform.model.policy import Bundle
    from middleplatform.store.policies import Approval, Proposal, Version

__all__ = ["add", "in_force", "opened_lifecycle"]


def add(mine: Commands, say: Say) -> None:
    """Declare them below ``policy``."""
    for name, text in (
        ("propose", say("Propose a bundle", "提出策略提案")),
        ("import", say("Propose an exported or edited folder; as propose", "将导出或编辑后的目录提为提案，同 propose")),
    ):  # fmt: skip
        propose = _act(mine, say, name, _propose, text)
        folder = say("the bundle's folder", "策略包目录")
        propose.add_argument("path", type=Path, metavar="DIR", help=folder)
        _add_text(propose, "reason", say("why", "理由"), required=True)
    for name, run, text, required in (
        ("approve", _approve, say("Approve a proposal", "批准提案"), False),
        ("reject", _reject, say("Reject a proposal", "驳回提案"), True),
        ("withdraw", _withdraw, say("Withdraw one's own proposal", "撤回本人的提案"), False),
    ):
        made = _act(mine, say, name, run, text)
        _add_proposal(made, say)
        _add_text(made, "comment", say("what to say to it", "意见"), required=required)
    publish = _act(mine, say, "publish", _publish, say("Bring a proposal into force", "发布提案"))
    _add_proposal(publish, say)
    text = say("Put an earlier version's files in force again", "恢复较早版本的内容")
    rollback = _act(mine, say, "rollback", _rollback, text)
    _add_version(rollback, say)
    _add_text(rollback, "reason", say("why", "理由"), required=True)
    text = say("Show what a proposal changes and what it lacks", "显示提案的变化与所缺的批准")
    _add_proposal(leaf(mine, say, "review", _review, text), say)
    leaf(mine, say, "proposals", _proposals, say("List the proposals", "列出提案"))
    leaf(mine, say, "versions", _versions, say("List the published versions", "列出已发布的版本"))
    text = say("Write a version's files to a folder", "导出某一版本的文件")
    export = leaf(mine, say, "export", _export, text)
    _add_version(export, say)
    export.add_argument(
        "path", type=Path, metavar="DIR", help=say("a new or empty folder", "新目录或空目录")
    )


def _act(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    add_person(made, say)
    return made


def _add_proposal(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument("number", type=int, metavar="N", help=say("the proposal", "提案号"))


def _add_version(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument("version", type=int, metavar="VERSION", help=say("its number", "版本号"))


def _add_text(made: argparse.ArgumentParser, name: str, text: str, *, required: bool) -> None:
    made.add_argument(f"--{name}", required=required, default="", metavar="TEXT", help=text)


@contextmanager
def opened_lifecycle(context: Context, *, acting: bool = True) -> "Iterator[Lifecycle]":
    """Give the life-cycle that the settings name, for one act."""
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import
    from middleplatform.governance.opened import open_lifecycle  # noqa: PLC0415 - so is the store

    settings = context.settings
    catalog = open_catalog(catalog_folder(settings))
    configured = policy.load(bundle_folder(settings), catalog)
    with open_lifecycle(
        settings, catalog, configured, SystemClock(), SystemRng(), acting=acting
    ) as opened:
        yield opened


def in_force(context: Context) -> "Bundle":
    """Return the newest published version; where nothing was published, the bundle that the settings name."""
    from middleplatform import policy  # noqa: PLC0415 - the validator is slow to import

    settings = context.settings
    if settings.store or (settings.state / "store.db").exists():
        with opened_lifecycle(context, acting=False) as lifecycle:
            return lifecycle.standing().bundle
    return policy.load(bundle_folder(settings), open_catalog(catalog_folder(settings)))


# --- acts -------------------------------------------------------------------------------------------------------------


def _propose(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.written import read_folder  # noqa: PLC0415 - beside the store

    who, files = person(context, options), read_folder(options.path)
    with opened_lifecycle(context) as lifecycle:
        number = lifecycle.propose(who, files, options.reason)
        _tell_weighed(context, lifecycle.weigh(number))
    return 0


def _approve(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_lifecycle(context) as lifecycle:
        weighed = lifecycle.approve(who, options.number, options.comment)
    _tell_weighed(context, weighed, changes=False)
    return 0


def _reject(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_lifecycle(context) as lifecycle:
        lifecycle.reject(who, options.number, options.comment)
        return _tell_closed(context, options.number, "rejected", "已驳回")


def _withdraw(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_lifecycle(context) as lifecycle:
        lifecycle.withdraw(who, options.number, options.comment)
        return _tell_closed(context, options.number, "withdrawn", "已撤回")


def _publish(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_lifecycle(context) as lifecycle:
        return _tell_published(context, lifecycle.publish(who, options.number))


def _rollback(context: Context, options: argparse.Namespace) -> int:
    who = person(context, options)
    with opened_lifecycle(context) as lifecycle:
        number, made = lifecycle.roll_back(who, options.version, options.reason)
        if made:
            return _tell_published(context, made)
        _tell_weighed(context, lifecycle.weigh(number))
    return 0


def _tell_closed(context: Context, number: int, state: str, chinese: str) -> int:
    if context.as_json:
        context.emit({"proposal": number, "state": state})
    else:
        context.tell(f"Proposal {number} is {state}.", f"提案 {number} {chinese}。")
    return 0


def _tell_published(context: Context, number: int) -> int:
    if context.as_json:
        context.emit({"version": number})
    else:
        context.tell(f"Version {number} is in force.", f"版本 {number} 已生效。")
    return 0


# --- what there is ----------------------------------------------------------------------------------------------------


def _review(context: Context, options: argparse.Namespace) -> int:
    with opened_lifecycle(context, acting=False) as lifecycle:
        weighed = lifecycle.weigh(options.number)
    _tell_weighed(context, weighed)
    return 0


def _tell_weighed(context: Context, weighed: "Weighed", *, changes: bool = True) -> None:
    proposal, difference = weighed.proposal, weighed.difference
    if context.as_json:
        context.emit(_proposal(proposal) | {
            "loosens": [pick(each.sentence, context.locale) for each in difference.loosens],
            "tightens": [pick(each.sentence, context.locale) for each in difference.tightens],
            "required": {"second_officer": weighed.required.second_officer,
                         "owners": sorted(weighed.required.owners)},
            "missing": {"second_officer": weighed.missing.second_officer,
                        "owners": sorted(weighed.missing.owners)},
            "approvals": [_approval(each) for each in weighed.approvals],
        })  # fmt: skip
        return
    say = context.say
    context.tell(
        f"Proposal {proposal.number}, {proposal.state}: {proposal.bundle} {proposal.label}, by {proposal.author}",
        f"提案 {proposal.number}（{proposal.state}）：{proposal.bundle} {proposal.label}，提出人 {proposal.author}",
    )
    context.tell(*difference.summary)
    if changes:
        _tell_changes(context, difference)
    for given in weighed.approvals:
        context.tell(f"Approved by {given.person}, {given.capacity}",
                     f"{given.person} 已批准（{given.capacity}）")  # fmt: skip
    wanted = [say("a second security officer", "另一名安全员")] * weighed.missing.second_officer
    wanted += [
        say(f"a steward of {name}", f"{name} 的数据管理员")
        for name in sorted(weighed.missing.owners)
    ]
    if wanted:
        context.tell("Missing: " + ", ".join(wanted), "尚缺批准：" + "、".join(wanted))


def _tell_changes(context: Context, difference: "Difference") -> None:
    say = context.say
    for mark, changes in (
        (say("loosens", "放宽"), difference.loosens),
        (say("tightens", "收紧"), difference.tightens),
    ):
        for each in changes:
            context.write(f"{mark}  {printable.line(pick(each.sentence, context.locale))}\n")


def _proposals(context: Context, _: argparse.Namespace) -> int:
    with opened_lifecycle(context, acting=False) as lifecycle:
        found = lifecycle.proposals()
    if context.as_json:
        context.emit([_proposal(each) for each in found])
        return 0
    say = context.say
    names = (
        say("number", "号"), say("state", "状态"), say("kind", "类别"), say("version", "版本名"),
        say("author", "提出人"), say("made", "提出时间"), say("reason", "理由"),
    )  # fmt: skip
    _print(context, names, (
        (str(each.number), each.state, each.kind, each.label, each.author,
         f"{each.at:%Y-%m-%d %H:%M}", each.reason)
        for each in found
    ))  # fmt: skip
    return 0


def _versions(context: Context, _: argparse.Namespace) -> int:
    with opened_lifecycle(context, acting=False) as lifecycle:
        found = lifecycle.versions()
    if context.as_json:
        context.emit([_version(each) for each in found])
        return 0
    say = context.say
    names = (
        say("number", "号"), say("kind", "类别"), say("version", "版本名"), say("digest", "摘要"),
        say("published by", "发布人"), say("published", "发布时间"), say("entry", "日志序号"),
    )  # fmt: skip
    _print(context, names, (
        (str(each.number), each.kind, each.label, each.digest[:16], each.published_by,
         f"{each.at:%Y-%m-%d %H:%M}", str(each.audit_index))
        for each in found
    ))  # fmt: skip
    return 0


def _export(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.governance.written import write_folder  # noqa: PLC0415 - beside the store

    with opened_lifecycle(context, acting=False) as lifecycle:
        files = lifecycle.files(options.version)
    write_folder(files, options.path)
    if context.as_json:
        context.emit({"version": options.version, "files": sorted(files)})
    else:
        context.tell(
            f"{len(files)} files in {options.path}", f"{options.path} 中 {len(files)} 个文件"
        )
    return 0


def _print(context: Context, names: "Iterable[str]", rows: "Iterable[Iterable[str]]") -> None:
    table = Table()
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(printable.line(str(part))) for part in row))
    context.out.print(table)


def _proposal(each: "Proposal") -> dict[str, object]:
    return {
        "number": each.number, "kind": each.kind, "state": each.state, "author": each.author,
        "department": each.department, "reason": each.reason, "content": each.content,
        "digest": each.digest, "bundle": each.bundle, "label": each.label, "base": each.base,
        "restores": each.restores, "at": each.at.isoformat(), "closed_by": each.closed_by,
        "comment": each.comment,
    }  # fmt: skip


def _approval(each: "Approval") -> Mapping[str, object]:
    return {
        "person": each.person, "department": each.department, "capacity": each.capacity,
        "comment": each.comment, "at": each.at.isoformat(),
    }  # fmt: skip


def _version(each: "Version") -> dict[str, object]:
    return {
        "number": each.number, "kind": each.kind, "proposal": each.proposal,
        "content": each.content, "digest": each.digest, "bundle": each.bundle,
        "label": each.label, "predecessor": each.predecessor, "restores": each.restores,
        "published_by": each.published_by, "at": each.at.isoformat(),
        "audit_index": each.audit_index,
    }  # fmt: skip
