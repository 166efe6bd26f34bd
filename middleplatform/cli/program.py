"""The program: the grammar of all commands, and from a command line to an exit code."""

import argparse
import os
import sys
from collections.abc import Sequence

from middleplatform.cli import failure
from middleplatform.cli.commands import (
    attack,
    audit,
    budget,
    catalog,
    connector,
    demo,
    freeze,
    gateway,
    grant,
    keyholder,
    keys,
    login,
    node,
    open_answer,
    policy,
    query,
    report,
    serve,
    ticket,
    token,
    transparency,
    usage,
    version,
)
from middleplatform.cli.context import Context, Opener, consoles, open_really
from middleplatform.cli.locale import choose, sayer
from middleplatform.cli.parser import Parser, speaking
from middleplatform.errors import MiddleplatformError

__all__ = ["parser", "run"]


def parser(locale: str) -> Parser:
    """Return the whole grammar with help in ``locale``."""
    say = sayer(locale)
    top = speaking(say)(
        prog="middleplatform",
        description=say(
            "Ask the data of many departments and get disclosure-controlled aggregates.",
            "对多部门数据提问，只得到经披露控制的汇总结果（数据可用不可见）。",
        ),
    )
    commands = top.add_subparsers(
        required=True, metavar=say("COMMAND", "命令"), title=say("commands", "命令")
    )
    for each in (
        demo,
        query,
        budget,
        catalog,
        policy,
        grant,
        freeze,
        audit,
        report,
        usage,
        ticket,
        transparency,
        keys,
        open_answer,
        token,
        gateway,
        node,
        keyholder,
        connector,
        attack,
        serve,
        login,
        version,
    ):
        each.add(commands, say)
    return top


def run(arguments: Sequence[str], opener: Opener = open_really) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: The command line without the program's name.
        opener: Opens the platform; tests pass their own.
    """
    locale = choose(arguments, os.environ)
    options = parser(locale).parse_args(arguments)
    code = _run(_context(options, locale, opener), options)
    sys.stdout.flush()
    return code


def _context(options: argparse.Namespace, locale: str, opener: Opener) -> Context:
    out, err = consoles()
    return Context(
        locale=locale,
        out=out,
        err=err,
        settings_file=getattr(options, "settings", None),
        as_json=bool(getattr(options, "json", False)),
        opener=opener,
    )


def _run(context: Context, options: argparse.Namespace) -> int:
    try:
        context.operator_log.attach()
        return int(options.run(context, options))
    except MiddleplatformError as error:
        context.note(error)
        return failure.tell(context, error)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: no traceback reaches a person
        return failure.tell(context, context.operator_log.internal(error))
