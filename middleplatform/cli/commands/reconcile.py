"""``audit reconcile``: hold the platform's log and a department's against each other."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from middleplatform.access.system import SystemClock
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.logs import open_log_at, read_log_keys, unreadable, verify_export
from middleplatform.cli.moments import moment
from middleplatform.cli.parser import Commands, leaf
from middleplatform.errors import QueryError

if TYPE_CHECKING:
    from middleplatform.audit.entry import LogEntry
    from middleplatform.audit.findings import Finding, Tally

__all__ = ["add", "moment", "opened"]

_SQLITE = b"SQLite format 3\0"
_FOUND = 16
_KEY_FILE_BYTES_MAX = 65_536
_KEY_DIGITS = 64


def add(mine: Commands, say: Say) -> None:
    """Declare it."""
    text = say("Compare the platform's log with a department's", "核对平台日志与部门日志")
    made = leaf(mine, say, "reconcile", _reconcile, text)
    log = say("a log's database, or an export of it", "日志数据库或其导出文件")
    keys = say("that log's public keys; those beside it unless said", "该日志公钥，默认取其同目录")
    for name in ("platform", "node"):
        made.add_argument(f"--{name}", type=Path, required=True, metavar="LOG", help=log)
        made.add_argument(f"--{name}-log-key", type=Path, metavar="FILE", help=keys)
    made.add_argument(
        "--node-key",
        type=Path,
        required=True,
        action="append",
        metavar="FILE",
        help=say(
            "the department's identity keys, hexadecimal, or a trust folder; repeatable",
            "部门身份公钥（十六进制）或信任目录，可重复",
        ),
    )
    made.add_argument(
        "--department", metavar="CODE", help=say("whose log it is", "部门代码，默认取自日志名称")
    )
    for name, text in (
        ("since", say("compare from this moment on", "核对起始时刻")),
        ("until", say("both logs were taken after this moment", "两份日志均在该时刻之后取得")),
    ):
        made.add_argument(f"--{name}", metavar="TIME", help=text)


def _reconcile(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.audit.reconcile import Reconciler  # noqa: PLC0415 - only needed here

    since, until = moment(options.since), moment(options.until)
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    with ExitStack() as open_logs:
        origin, reach, entries = {}, {}, {}
        for side in ("platform", "node"):
            key = getattr(options, f"{side}_log_key")
            log = opened(context, getattr(options, side), key)
            origin[side], taken, entries[side] = open_logs.enter_context(log)
            reach[side] = max(taken or beginning, until or beginning)
        department = options.department or origin["node"].partition(".")[0]
        compared = Reconciler(
            department,
            [key for path in options.node_key for key in _identity_keys(path, department)],
            platform_reach=reach["platform"],
            node_reach=reach["node"],
            since=since or beginning,
        )
        found = compared.run(entries["platform"], entries["node"])
        faults = _tell(context, department, found, compared.tally)
    return _FOUND if faults else 0


@contextmanager
def opened(
    context: Context, path: Path, keys: Path | None
) -> "Iterator[tuple[str, datetime | None, Iterable[LogEntry]]]":
    """Open and verify a log; give its name, when it was taken if that is known, and its entries."""
    from middleplatform.audit import export  # noqa: PLC0415 - only needed here

    try:
        with path.open("rb") as file:
            database = file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        raise unreadable(path) from None
    if database:
        taken = SystemClock().now()
        with open_log_at(context, path, keys) as log:
            yield log.origin, taken, log.entries()
        return
    keys = keys or path.with_suffix(".pub")
    verify_export(path, keys, None)
    yield read_log_keys(keys)[0].name, None, export.entries(path)


def _identity_keys(path: Path, department: str) -> list[bytes]:
    """Read a department's identity keys, present and former.

    Args:
        path: A file with one public key a line, 64 hexadecimal digits; or a trust folder, whose
            roster names the key and those that it followed by signed handovers.
        department: Its code.

    Raises:
        QueryError: Q040 when there are none.
        MiddleplatformError: As reading the roster.
    """
    if path.is_dir():
        found = _by_roster(path, department)
    else:
        try:
            with path.open("rb") as file:
                words = file.read(_KEY_FILE_BYTES_MAX).decode().split()
            found = [bytes.fromhex(word) for word in words if len(word) == _KEY_DIGITS]
        except (OSError, ValueError):
            raise unreadable(path) from None
        if len(found) != len(words):
            found = []
    if not found:
        what = (f"{path} holds no identity key", f"{path} 不含身份公钥")
        raise QueryError("Q040", what=what)
    return found


def _by_roster(path: Path, department: str) -> list[bytes]:
    from middleplatform.enrolment.folder import Folder  # noqa: PLC0415 - only needed here
    from middleplatform.enrolment.roster import follow  # noqa: PLC0415 - only needed here

    folder = Folder(path)
    owner = folder.owner()
    roster = folder.roster(owner)
    party = roster.parties.get(department)
    if party is None:
        return []
    former = [step.old for step in party.successions if follow(step.old, party, roster.platform)]
    return [party.identity, *former]


def _tell(context: Context, department: str, found: "Iterable[Finding]", tally: "Tally") -> int:
    """Print what is found and return how many faults there are."""
    faults, outside, listed = 0, 0, []
    for each in found:
        faults += each.fault
        outside += not each.fault
        if context.as_json:
            listed.append(_shape(each))
        else:
            context.write(_line(context, each) + "\n")
    if context.as_json:
        context.emit({
            "department": department, "agrees": not faults, "faults": faults, "outside": outside,
            "entries": asdict(tally), "findings": listed,
        })  # fmt: skip
        return faults
    context.tell(
        f"{tally.matched} receipts agree, {faults} faults, {outside} beyond the reach of one log;"
        f" {tally.not_released} answers were not released.",
        f"{tally.matched} 个回执一致，{faults} 处问题，{outside} 条超出一方日志范围；"
        f"{tally.not_released} 个应答未发布。",
    )
    return faults


def _shape(each: "Finding") -> dict[str, object]:
    return {
        "kind": str(each.kind), "fault": each.fault, "query_id": each.query_id,
        "platform_index": each.platform_index, "node_index": each.node_index,
        "names": list(each.names), "what": {"en": each.what[0], "zh": each.what[1]},
    }  # fmt: skip


def _line(context: Context, each: "Finding") -> str:
    from middleplatform.cli import printable  # noqa: PLC0415 - only needed here

    say = context.say
    places = [
        f"{name} {index}"
        for name, index in (
            (say("platform", "平台"), each.platform_index), (say("node", "部门"), each.node_index),
        )
        if index is not None
    ]  # fmt: skip
    what = say(*each.what)
    return printable.line(f"{each.kind}  {each.query_id}  ({', '.join(places)})  {what}")
