"""The command line's grammar, with help in the chosen language."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from middleplatform.cli.locale import LOCALES, Say

if TYPE_CHECKING:
    from middleplatform.cli.context import Context

__all__ = ["Commands", "Parser", "Runs", "add_json", "group", "leaf", "speaking"]

Commands = Any
"""What ``add_subparsers`` gives; its class is private to argparse."""
Runs = Callable[["Context", argparse.Namespace], int]

_WIDTH = 96
_CHINESE = (
    (r"the following arguments are required: (.*)", r"缺少参数：\1"),
    (r"unrecognized arguments: (.*)", r"无法识别的参数：\1"),
    (r"argument (.*?): expected one argument", r"参数 \1：需要一个值"),
    (r"argument (.*?): invalid choice: (.*?) \(choose from (.*)\)", r"参数 \1：\2 无效，可选 \3"),
    (r"argument (.*?): not allowed with argument (.*)", r"参数 \1 不能与 \2 同时使用"),
    (r"argument (.*?): invalid \w+ value: (.*)", r"参数 \1：值 \2 无效"),
    (r"one of the arguments (.*) is required", r"需要以下参数之一：\1"),
    (r"argument (.*?): ignored explicit argument (.*)", r"参数 \1：不接受值 \2"),
)


class _Formatter(argparse.HelpFormatter):
    """Help of a fixed width: the same everywhere, also in the snapshot."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_WIDTH)


class Parser(argparse.ArgumentParser):
    """A parser whose own words are in the chosen language too."""

    say: ClassVar[Say]

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - what argparse takes
        settings.setdefault("formatter_class", _Formatter)
        super().__init__(**settings, allow_abbrev=False, add_help=False)
        say = type(self).say
        self._positionals.title = say("arguments", "参数")
        self._optionals.title = say("options", "选项")
        self.add_argument(
            "-h", "--help", action="help", help=say("show this help", "显示本帮助")
        )  # fmt: skip
        # SUPPRESS: what was said before the command must not be undone by the command's default.
        self.add_argument(
            "--locale",
            choices=LOCALES,
            default=argparse.SUPPRESS,
            help=say("language of messages", "消息语言"),
        )
        self.add_argument(
            "--settings",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help=say("settings (TOML)", "配置文件（TOML）"),
        )

    def format_help(self) -> str:
        """Return the help text."""
        return super().format_help().replace("usage: ", type(self).say("usage: ", "用法: "), 1)

    def format_usage(self) -> str:
        """Return the usage line."""
        return super().format_usage().replace("usage: ", type(self).say("usage: ", "用法: "), 1)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one sentence.

        Raises:
            SystemExit: Always.
        """
        say = type(self).say
        if say("", "zh"):
            for pattern, chinese in _CHINESE:
                message = re.sub(f"^{pattern}$", chinese, message)
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {say('error', '错误')}: {message}\n")


def speaking(say: Say) -> type[Parser]:
    """Return the class of parsers that speak the language of ``say``."""
    return type("Parser", (Parser,), {"say": staticmethod(say)})


def leaf(
    commands: Commands, say: Say, name: str, run: Runs, text: str, *, json_too: bool = True
) -> argparse.ArgumentParser:
    """Add a command that ``run`` carries out.

    Args:
        commands: Where.
        say: The language.
        name: What is typed.
        run: Returns the exit code.
        text: One sentence of help.
        json_too: Whether it takes ``--json`` without more ado.
    """
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    made.set_defaults(run=run)
    if json_too:
        add_json(made, say)
    return made


def add_json(parser: argparse._ActionsContainer, say: Say) -> None:
    """Add ``--json``."""
    # SUPPRESS: what was said before a command must not be undone by the command's default.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help=say("print JSON", "以 JSON 输出"),
    )


def group(
    commands: Commands, say: Say, name: str, text: str, *, otherwise: Runs | None = None
) -> Commands:
    """Add a command that has commands of its own.

    Args:
        commands: Where.
        say: The language.
        name: What is typed.
        text: One sentence of help.
        otherwise: What runs when no further command is typed; None requires one.
    """
    made = commands.add_parser(name, help=text, description=text)
    if otherwise is not None:
        made.set_defaults(run=otherwise)
        add_json(made, say)
    return made.add_subparsers(
        required=otherwise is None, metavar=say("COMMAND", "命令"), title=say("commands", "命令")
    )
