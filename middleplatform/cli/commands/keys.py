"""``keys``: a recipient's own keys, made on his own machine, and their public halves at the gateway."""

import argparse
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli import asking, failure, printable, sealing
from middleplatform.cli.context import Context
from middleplatform.cli.enrolment import add_keys
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, Runs, group, leaf
from middleplatform.crypto.key_files import replace_private
from middleplatform.errors import ProtocolError, QueryError

if TYPE_CHECKING:  # arithmetic and the client take a moment to import; --help must not
    from middleplatform.crypto.sealed_keys import OpeningKey

__all__ = ["add"]

_LENGTHS = (2048, 3072)


def add(commands: Commands, say: Say) -> None:
    """Declare them all."""
    text = say("Keys that open sealed answers", "打开密封结果的密钥")
    mine = group(commands, say, "keys", text)
    new = leaf(
        mine, say, "new", _new,
        say("Make a key pair in a file that stays here", "创建密钥对，私钥文件留在本机"),
    )  # fmt: skip
    new.add_argument("file", type=Path, metavar="FILE", help=say("the key file", "密钥文件"))
    new.add_argument(
        "--holder", required=True, metavar="LOGIN", help=say("your login", "持有人账号")
    )
    _add_making(new, say)
    publish = _asked(
        mine, say, "publish", _publish,
        say("Publish the public half of a key", "登记密钥的公开部分"),
    )  # fmt: skip
    publish.add_argument("file", type=Path, metavar="FILE", help=say("the key file", "密钥文件"))
    rotate = _asked(
        mine, say, "rotate", _rotate,
        say(
            "Make and publish a key in another's place; the old one still opens",
            "创建并登记新密钥以替换旧密钥；旧密钥仍可打开已有结果",
        ),
    )  # fmt: skip
    rotate.add_argument("old", type=Path, metavar="OLD", help=say("its key file", "旧密钥文件"))
    rotate.add_argument("file", type=Path, metavar="NEW", help=say("the new one's", "新密钥文件"))
    _add_making(rotate, say)
    _asked(mine, say, "list", _list, say("List the published keys", "列出已登记的公钥"))
    revoke = _asked(
        mine, say, "revoke", _revoke,
        say("Withdraw a key from sealing", "撤销密钥，不再用于密封"),
    )  # fmt: skip
    revoke.add_argument(
        "key", metavar="KEY", help=say("its id, or its key file", "密钥编号或密钥文件")
    )
    revoke.add_argument("--reason", default="", help=say("why", "原因"))


def _add_making(made: argparse.ArgumentParser, say: Say) -> None:
    made.add_argument(
        "--bits",
        type=int,
        choices=_LENGTHS,
        default=max(_LENGTHS),
        help=say("length of the modulus (default: %(default)s)", "模数长度（默认 %(default)s）"),
    )
    add_keys(made, say)


def _asked(mine: Commands, say: Say, name: str, run: Runs, text: str) -> argparse.ArgumentParser:
    made = leaf(mine, say, name, run, text)
    asking.add_who(made, say)
    made.add_argument(
        "--gateway",
        default="",
        metavar="URL",
        help=say(
            "a gateway elsewhere, by REST; needs --token", "远程网关（REST 地址），须配合 --token"
        ),
    )
    return made


# --- where keys are published -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Registry:
    """The registry of keys, in this process or behind REST."""

    publish: Callable[[str, str, str], Mapping[str, Any]]
    listed: Callable[[], Mapping[str, Any]]
    revoke: Callable[[str, str], Mapping[str, Any]]


@contextmanager
def _registry(context: Context, options: argparse.Namespace) -> Iterator[_Registry]:
    if options.gateway:
        if options.token is None:
            raise QueryError("Q040", what=("--gateway needs --token", "--gateway 须配合 --token"))
        from middleplatform.client.rest import Client  # noqa: PLC0415 - only when asked for

        client = Client(options.gateway, asking.token(options.token), locale=context.locale)
        yield _Registry(client.publish_document, client.keys, client.revoke)
        return
    with context.platform() as platform:
        from middleplatform.access import shapes  # noqa: PLC0415 - imports the column engine

        desk, subject = platform.gateway.sealing, asking.subject(context, options)
        if desk is None:
            raise QueryError("Q041", what=("registry of keys", "密钥登记库"))
        yield _Registry(
            lambda key, proof, replaces: shapes.sealing_key(
                desk.publish(subject, key, proof, replaces)
            ),
            lambda: {
                "keys": [shapes.sealing_key(each) for each in desk.listed()],
                "parties": desk.parties(),
            },
            lambda key_id, reason: shapes.sealing_key(desk.revoke(subject, key_id, reason)),
        )


def _refusable(run: Runs) -> Runs:
    """Turn a gateway's refusal over REST into the exit code of its class."""

    def guarded(context: Context, options: argparse.Namespace) -> int:
        from middleplatform.client.rest import Refused  # noqa: PLC0415 - see above

        try:
            return run(context, options)
        except Refused as refused:
            if context.as_json:
                context.emit(refused.problem)
            else:
                detail = printable.line(str(refused.problem.get("detail", "")))
                context.err.print(Text(f"{refused.code}  {detail}"), soft_wrap=True)
            return failure.exit_code_of(refused.code)

    return guarded


# --- commands ---------------------------------------------------------------------------------------------------------


def _new(context: Context, options: argparse.Namespace) -> int:
    key = _made(context, options, options.holder)
    if context.as_json:
        context.emit(_told(options.file, key))
        return 0
    context.write(f"{key.public.key_id}\n")
    context.tell(
        f"{options.file} holds the private key: keep it and its passphrase on your own machine."
        f" Publish it: middleplatform keys publish {options.file}",
        f"{options.file} 为私钥文件：请连同口令保存在本人机器上。"
        f"登记命令：middleplatform keys publish {options.file}",
    )
    return 0


def _made(context: Context, options: argparse.Namespace, holder: str) -> "OpeningKey":
    from middleplatform.crypto.sealed_keys import OpeningKey  # noqa: PLC0415 - see above

    passphrase = sealing.new_passphrase(context, options, holder)
    created = SystemClock().now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        key = OpeningKey.generate(options.bits, holder, created, SystemRng())
    except ProtocolError:
        raise QueryError("Q040", what=("the holder is no login", "持有人不是有效账号")) from None
    key.save(options.file, passphrase, SystemRng())
    public = {
        "key_id": key.public.key_id,
        "holder": holder,
        "bits": key.public.bits,
        "key": base64.b64encode(key.public.to_bytes()).decode(),
        "proof": base64.b64encode(key.prove().to_bytes()).decode(),
    }
    _write(options.file.with_name(options.file.name + asking.PUBLIC), public)
    return key


def _told(path: Path, key: "OpeningKey") -> dict[str, object]:
    public = key.public
    return {
        "key_id": public.key_id,
        "holder": public.holder,
        "bits": public.bits,
        "file": str(path),
    }


def _write(path: Path, value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    replace_private(path, text.encode() + b"\n")


def _published(context: Context, options: argparse.Namespace, replaces: str) -> int:
    public = asking.read_public(options.file)
    with _registry(context, options) as registry:
        found = registry.publish(public["key"], public["proof"], replaces)
        parties = registry.listed()["parties"]
    _write(sealing.parties_file(options.file), {"parties": parties})
    if context.as_json:
        context.emit(found)
        return 0
    context.write(f"{found['id']}\n")
    context.tell(
        f"The key is published for {found['login']}. {sealing.parties_file(options.file).name} keeps"
        " the keys of gateway and departments, by which answers are checked.",
        f"已为 {found['login']} 登记密钥。{sealing.parties_file(options.file).name}"
        " 保存网关与各部门的公钥，用于校验结果。",
    )
    return 0


def _publish_now(context: Context, options: argparse.Namespace) -> int:
    return _published(context, options, "")


def _rotate_now(context: Context, options: argparse.Namespace) -> int:
    old = asking.read_public(options.old)
    _made(context, options, old["holder"])
    return _published(context, options, old["key_id"])


def _list_now(context: Context, options: argparse.Namespace) -> int:
    with _registry(context, options) as registry:
        found = registry.listed()
    if context.as_json:
        context.emit(found)
        return 0
    say = context.say
    table = Table()
    for name in (
        say("id", "编号"), say("login", "账号"), say("department", "部门"), say("bits", "位数"),
        say("published", "登记时间"), say("withdrawn", "撤销时间"), say("why", "原因"),
    ):  # fmt: skip
        table.add_column(name, overflow="fold")
    for each in found["keys"]:
        row = (
            each["id"], each["login"], each["department"], str(each["bits"]),
            each["published_at"][:10], each["revoked_at"][:10], each["reason"],
        )  # fmt: skip
        table.add_row(*(Text(printable.line(text)) for text in row))
    context.out.print(table)
    return 0


def _revoke_now(context: Context, options: argparse.Namespace) -> int:
    with _registry(context, options) as registry:
        found = registry.revoke(asking.key_id(options.key), options.reason)
    if context.as_json:
        context.emit(found)
    else:
        context.tell(
            f"Key {found['id']} seals no more; what it has sealed can still be opened.",
            f"密钥 {found['id']} 不再用于密封；此前密封的结果仍可打开。",
        )
    return 0


_publish, _rotate = _refusable(_publish_now), _refusable(_rotate_now)
_list, _revoke = _refusable(_list_now), _refusable(_revoke_now)
