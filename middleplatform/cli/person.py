"""Who acts: a person of the demonstration, or whoever a service token lets in. One way for all acts of governance."""

import argparse

from middleplatform.cli.asking import subject
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.errors import QueryError
from middleplatform.model.request import Subject

__all__ = ["add_person", "person"]


def add_person(parser: argparse.ArgumentParser, say: Say, *, required: bool = True) -> None:
    """Add the two ways to say who acts, one of which is needed where ``required``."""
    who = parser.add_mutually_exclusive_group(required=required)
    who.add_argument(
        "--as", dest="persona", metavar="PERSONA",
        help=say("act as a person of the demonstration", "以演示人物身份操作"),
    )  # fmt: skip
    who.add_argument(
        "--token",
        help=say(
            "act with a service token; @FILE reads it from a file, - from standard input",
            "使用服务令牌；@FILE 从文件读取，- 从标准输入读取",
        ),
    )


def person(context: Context, options: argparse.Namespace) -> Subject:
    """Return who acts.

    Raises:
        QueryError: Q040 a person of the demonstration where departments are real, or the store is shared.
        PolicyError: P005 the token lets nobody in.
    """
    settings = context.settings
    if options.persona is not None and (settings.trust is not None or settings.store):
        what = ("people of the demonstration act in the demonstration only: use --token",
                "演示人物只能在演示环境中操作，请使用 --token")  # fmt: skip
        raise QueryError("Q040", what=what)
    return subject(context, options)
