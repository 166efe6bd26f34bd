"""Who asks, and under which key: what several commands take."""

import argparse
import json
import re
import sys
from pathlib import Path

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.access.tokens import TokenStore
from middleplatform.cli.context import Context
from middleplatform.cli.locale import Say
from middleplatform.errors import QueryError
from middleplatform.model.request import Subject

__all__ = ["PUBLIC", "add_who", "key_id", "read_public", "store", "subject", "token"]

PUBLIC = ".public.json"
"""Ending of the file with the public half of a key, beside the key file."""
_ID = re.compile(r"[0-9a-f]{64}")
_BYTES_MAX = 1 << 20


def store(context: Context) -> TokenStore:
    """Open the token store of the settings: a file, or that of the gateways that share a store."""
    settings, clock, rng = context.settings, SystemClock(), SystemRng()
    if not settings.store.startswith("postgresql"):
        return TokenStore(settings.state / "tokens.sqlite", clock, rng)
    from middleplatform.governance.shared import open_tokens  # noqa: PLC0415 - slow to import

    return open_tokens(settings, clock, rng)


def add_who(parser: argparse.ArgumentParser, say: Say) -> None:
    """Add the two ways to say who asks, one of which is needed."""
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--as",
        dest="persona",
        metavar="PERSONA",
        help=say("ask as a person of the demonstration", "以演示人物身份查询"),
    )
    who.add_argument(
        "--token",
        help=say(
            "ask with a service token; @FILE reads it from a file, - from standard input",
            "使用服务令牌查询；@FILE 从文件读取，- 从标准输入读取",
        ),
    )


def key_id(said: str) -> str:
    """Return the id of a key that was named by its id or by its file.

    Raises:
        QueryError: Q040 it is neither.
    """
    if _ID.fullmatch(said):
        return said
    return str(read_public(Path(said))["key_id"])


def read_public(path: Path) -> dict[str, str]:
    """Return the public half of a key, from its own file or beside the key file.

    Raises:
        QueryError: Q040 there is none.
    """
    place = path if path.name.endswith(PUBLIC) else path.with_name(path.name + PUBLIC)
    try:
        with place.open("rb") as file:
            found = json.loads(file.read(_BYTES_MAX))
        return {name: str(found[name]) for name in ("key_id", "holder", "key", "proof")}
    except (OSError, ValueError, KeyError, TypeError):
        what = (f"{path} names no key", f"{path} 不是密钥")
        raise QueryError("Q040", what=what) from None


def subject(context: Context, options: argparse.Namespace) -> Subject:
    """Return who asks, by persona or by token."""
    if options.persona is not None:
        return _persona(options.persona)
    with store(context) as tokens:
        return tokens.authenticate(token(options.token))


def _persona(name: str) -> Subject:
    from middleplatform.demo.runtime import PERSONAS  # noqa: PLC0415 - slow to import

    if name not in PERSONAS:
        known = ", ".join(PERSONAS)
        raise QueryError(
            "Q040", what=(f"persona {name} is not one of {known}", f"人物 {name} 不在 {known} 之中")
        )
    return PERSONAS[name]


def token(said: str) -> str:
    """Return the token itself: a command line can be read by other users of the machine."""
    try:
        if said == "-":
            return sys.stdin.readline().strip()
        if said.startswith("@"):
            return Path(said[1:]).read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        what = ("the token cannot be read", "无法读取令牌")
        raise QueryError("Q040", what=what) from None
    return said
