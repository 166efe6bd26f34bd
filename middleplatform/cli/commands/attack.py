"""``attack``: run the published attacks against people who were made for it."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from middleplatform.cli import asking
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf
from middleplatform.errors import QueryError

if TYPE_CHECKING:  # numerical libraries take a second to import; --help must not
    from middleplatform.attack.sandbox import Defence
    from middleplatform.attack.suite import Outcome
    from middleplatform.attack.surface import Ask

__all__ = ["add"]

_BROKEN = 1
_COLLUDING = ("first", "second", "third")
_UNLIMITED = 1_000_000


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    text = say("Attack the sacrificial dataset", "对试验数据集进行攻击测试")
    made = leaf(commands, say, "attack", _attack, text)
    made.add_argument(
        "names",
        nargs="*",
        metavar="ATTACK",
        help=say("which ones; all unless said", "攻击名称，默认全部"),
    )
    where = made.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--gateway",
        metavar="URL",
        help=say(
            "a gateway that serves the sacrificial dataset", "提供试验数据集的网关（https://主机）"
        ),
    )
    where.add_argument(
        "--local",
        action="store_true",
        help=say("open a platform for it in this process", "在本进程内打开试验平台"),
    )
    where.add_argument(
        "--write",
        type=Path,
        metavar="FOLDER",
        help=say(
            "only write catalogue, policy, data and settings of the dataset",
            "仅写出试验数据集的目录、策略、数据和配置",
        ),
    )
    made.add_argument(
        "--token",
        action="append",
        default=[],
        help=say(
            "an analyst's service token (@FILE, or - for standard input), repeatable: they collude",
            "分析员服务令牌（@FILE 从文件，- 从标准输入），可重复，视为合谋",
        ),
    )
    _add_defence(made, say)


def _add_defence(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--targets",
        type=int,
        default=400,
        metavar="N",
        help=say(
            "people attacked by each (default: %(default)s)", "攻击目标数（默认 %(default)s）"
        ),
    )
    made.add_argument(
        "--method",
        choices=("exact", "table", "perturb", "noise"),
        default="perturb",
        help=say(
            "how the dataset is defended (default: %(default)s)", "保护方式（默认 %(default)s）"
        ),
    )
    made.add_argument(
        "--noise-below",
        type=int,
        default=0,
        metavar="UNITS",
        help=say("smaller populations get noise only", "小于该单元数的总体仅以差分隐私作答"),
    )
    made.add_argument(
        "--threshold-only",
        action="store_true",
        help=say(
            "no defence but a threshold: shows that the attacks are real",
            "仅设最小单元数阈值，用于证明攻击真实有效",
        ),
    )
    made.add_argument(
        "--any-number",
        action="store_true",
        help=say(
            "do not limit near-identical questions, so that disclosure control stands alone",
            "不限制近似查询次数，单独检验披露控制",
        ),
    )


def _attack(context: Context, options: argparse.Namespace) -> int:
    from middleplatform.attack import people, sandbox, suite  # noqa: PLC0415 - see above

    names = options.names or list(suite.ATTACKS)
    unknown = sorted(set(names) - set(suite.ATTACKS))
    if unknown or options.targets < 1:
        what = (
            f"attacks are {', '.join(suite.ATTACKS)}; targets at least 1",
            f"攻击名称为 {', '.join(suite.ATTACKS)}；目标数至少为 1",
        )
        raise QueryError("Q040", what=what)
    everyone, defence = people.made(), _defence(options)
    if options.write is not None:
        sandbox.write_sandbox(options.write, everyone, defence)
        context.tell(f"Written to {options.write}.", f"已写入 {options.write}。")
        return 0
    found: list[Outcome] = []
    with _analysts(context, options, defence) as analysts:
        for name in names:
            context.tell(f"{name} ...", f"{name} ……")
            found += suite.run(analysts, everyone, defence, [name], options.targets)
    if context.as_json:
        context.emit([_shape(each) for each in found])
    else:
        context.out.print(_table(found, context.say))
    return 0 if all(each.held for each in found) else _BROKEN


def _defence(options: argparse.Namespace) -> "Defence":
    from middleplatform.attack import sandbox  # noqa: PLC0415 - see above

    if options.threshold_only:
        return sandbox.THRESHOLD_ONLY
    chosen = replace(sandbox.DEFAULT, method=options.method, noise_below=options.noise_below)
    return replace(chosen, near_duplicates_per_day=_UNLIMITED) if options.any_number else chosen


@contextmanager
def _analysts(
    context: Context, options: argparse.Namespace, defence: "Defence"
) -> "Iterator[list[Ask]]":
    """Yield the ways in of colluding analysts.

    Raises:
        QueryError: Q040 a gateway without a token.
    """
    from middleplatform.attack import local, people, surface  # noqa: PLC0415 - see above

    if options.gateway is None:
        with (
            tempfile.TemporaryDirectory(prefix="middleplatform-attack-") as folder,
            local.opened(Path(folder), people.made(), defence) as platform,
        ):
            yield [local.through(platform, login) for login in _COLLUDING]
        return
    if not options.token:
        what = ("a gateway needs --token", "使用 --gateway 时须给出 --token")
        raise QueryError("Q040", what=what)
    from middleplatform.client.rest import Client  # noqa: PLC0415 - see above

    yield [
        surface.rest(Client(options.gateway, asking.token(each), locale=context.locale))
        for each in options.token
    ]


def _shape(found: "Outcome") -> dict[str, object]:
    return {
        "attack": found.attack,
        "held": found.held,
        "targets": found.targets,
        "success": f"{found.success:.4f}",
        "baseline": f"{found.baseline:.4f}",
        "learnt": f"{found.learnt:.4f}",
        "questions": found.questions,
        "refused": found.refused,
        "withheld": found.withheld,
        "seconds": f"{found.seconds:.1f}",
    }


def _table(found: "list[Outcome]", say: Say) -> Table:
    table = Table()
    for name in (
        say("attack", "攻击"), say("success", "成功率"), say("guessing", "猜测基线"), say("targets", "目标数"),
        say("questions", "查询数"), say("refused", "被拒绝"), say("withheld", "被抑制"), say("defence", "防护"),
    ):  # fmt: skip
        table.add_column(name)
    for each in found:
        refused = ", ".join(f"{code} {count}" for code, count in sorted(each.refused.items()))
        table.add_row(
            each.attack, f"{each.success:.3f}", f"{each.baseline:.3f}", str(each.targets),
            str(each.questions), refused, str(each.withheld),
            say("held", "有效") if each.held else say("BROKEN", "失守"),
        )  # fmt: skip
    return table
