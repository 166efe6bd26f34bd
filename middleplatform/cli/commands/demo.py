"""``demo``: build the demonstration's departments and go through its questions."""

import argparse
from pathlib import Path

from middleplatform.cli.context import Context, styled
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, leaf

__all__ = ["add", "run"]


def add(commands: Commands, say: Say) -> None:
    """Declare it."""
    text = say(
        "Ask the questions of the demonstration and those that must be refused",
        "运行演示：提出示范查询以及必须被拒绝的查询",
    )
    made = leaf(commands, say, "demo", run, text, json_too=False)
    made.add_argument(
        "--report",
        type=Path,
        default=Path("build/demo/report.json"),
        metavar="FILE",
        help=say(
            "where to write the report (default: %(default)s)", "报告文件（默认 %(default)s）"
        ),
    )
    made.add_argument(
        "--prepare",
        action="store_true",
        help=say("only build the departments' databases", "只建立各部门数据库"),
    )


def run(context: Context, options: argparse.Namespace) -> int:
    """Run the demonstration, or only prepare it."""
    if options.prepare:
        with context.platform() as platform:
            where = platform.settings.data
        context.tell(f"The departments' databases are in {where}.", f"部门数据库位于 {where}。")
        return 0
    from middleplatform.demo import show  # noqa: PLC0415 - slow to import, --help must not be

    return show.run(context.settings, options.report, styled(context.out), context.locale)
