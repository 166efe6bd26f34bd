"""``policy watch``: YAML in any editor stays the source."""

import argparse
import time
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from middleplatform.cli.commands.policy_versions import opened_lifecycle
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.cli.person import add_person, person
from middleplatform.errors import MiddleplatformError

if TYPE_CHECKING:  # the store and the engine take a moment to import; --help must not
    from middleplatform.governance.folder_watch import Outcome
    from middleplatform.governance.lifecycle import Lifecycle

__all__ = ["add"]

_LOOK_EVERY_S = 0.5
_SAYS = {
    "proposed": ("Proposed as {proposal}{waits}.", "已提出提案 {proposal}{waits}。"),
    "published": ("Version {version} is in force (proposal {proposal}).",
                  "版本 {version} 已生效（提案 {proposal}）。"),
    "pending": ("Proposed already, as {proposal}{waits}.", "已有提案 {proposal}{waits}。"),
    "in_force": ("In force already, as version {version}.", "已作为版本 {version} 生效。"),
    "refused": ("Not proposed: {why}", "未提出：{why}"),
}  # fmt: skip


def add(mine: Commands, say: Say) -> None:
    """Declare it below ``policy``."""
    folder = say("the bundle's folder", "策略包目录")
    reason = say("why", "理由")
    text = say(
        "Watch a folder and propose its state when files change", "监视目录，文件变化时提出提案"
    )
    watch = leaf(mine, say, "watch", _watch, text)
    add_person(watch, say)
    watch.add_argument("path", type=Path, metavar="DIR", help=folder)
    watch.add_argument("--reason", required=True, metavar="TEXT", help=reason)
    watch.add_argument("--publish", action="store_true", help=say(
        "publish at once what needs nobody else's approval", "无需他人批准的变更立即发布"))  # fmt: skip
    watch.add_argument("--settle", type=float, default=2.0, metavar="SECONDS", help=say(
        "take files unchanged for so long; 2 unless said", "文件在此时长内未变才采用，默认 2 秒"))  # fmt: skip
    watch.add_argument("--once", action="store_true", help=say(
        "end when the folder's state is dealt with", "处理完当前内容即结束"))  # fmt: skip


def _watch(context: Context, options: argparse.Namespace) -> int:
    """Watch until interrupted; interrupting is the usual way to stop and ends with 0."""
    from middleplatform.governance.folder_watch import FolderWatch, What  # noqa: PLC0415 - slow to import

    who = person(context, options)

    def opening() -> "AbstractContextManager[Lifecycle]":
        return opened_lifecycle(context)

    watch = FolderWatch(
        opening, who, options.path, options.reason, publishes=options.publish, settle_s=options.settle
    )  # fmt: skip
    wait = Event()
    try:
        while True:
            found = watch.look(time.monotonic())
            if found is not None:
                _tell(context, found)
                if options.once:
                    return (
                        found.error.exit_code if found.what is What.REFUSED and found.error else 0
                    )
            wait.wait(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        return 0


def _tell(context: Context, found: "Outcome") -> None:
    why = found.error
    if context.as_json:
        context.emit({
            "what": str(found.what), "content": found.content, "proposal": found.proposal,
            "version": found.version, "missing": found.missing,
            "code": "" if why is None else why.code,
        })  # fmt: skip
        return
    english, chinese = _SAYS[str(found.what)]
    waits = (", waits for approvals", "，等待批准") if found.missing else ("", "")
    told = {"proposal": found.proposal, "version": found.version}
    context.tell(
        english.format(**told, waits=waits[0], why=_why(why, "en")),
        chinese.format(**told, waits=waits[1], why=_why(why, "zh")),
    )


def _why(error: MiddleplatformError | None, locale: str) -> str:
    return "" if error is None else f"{error.code} {error.message(locale)}"
