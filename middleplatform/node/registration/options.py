"""Options of a connector: checked against what its maker takes, typed, and without a secret among them.

A password never stands in a registration, nor on a command line that other users of the machine can read: it is named
by ``password_file`` (a file that only its owner can read) or ``password_env``, and read when the source is opened.

Reveals:
    Nothing: values stay in the department, and a secret stays in the process that opens the source.
"""

import dataclasses
import inspect
import os
import re
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from connectors.registry import BUILT_IN, connector_factory
from connectors.spi import Connector, ConnectorError, ErrorKind
from middleplatform.errors import ConfigError
from middleplatform.node.registration.files import incomplete

__all__ = ["checked", "opened", "parsed", "said"]

_SECRET = re.compile(
    r"password|passwd|pwd|passphrase|secret|token|credential|private_key", re.IGNORECASE
)
_INSIDE = re.compile(r"://[^/\s@:]*:[^/\s@]+@|(?:^|;)\s*(?:pwd|password)\s*=", re.IGNORECASE)
_INDIRECT = ("_file", "_env")
_PATHS = ("path", "folder", "directory", "file")
_BOOLEANS = {"true": True, "false": False}
_ANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_ACCESS = 0o077  # the group's and the others' rights

_KINDS: Mapping[ErrorKind, tuple[str, str]] = {
    ErrorKind.UNREACHABLE: ("the source cannot be reached or read", "无法连接或读取数据源"),
    ErrorKind.LOCKED: (
        "another process has the source open for writing",
        "数据源正被其他进程写入占用",
    ),
    ErrorKind.MISSING: ("there is no source at that place", "指定位置没有数据源"),
    ErrorKind.TIMEOUT: ("the source did not answer in time", "数据源未能按时应答"),
    ErrorKind.CANCELLED: ("the work was cancelled", "操作已取消"),
    ErrorKind.SCHEMA: ("the source has not what was asked for", "数据源没有所请求的内容"),
    ErrorKind.LIMIT: ("a limit of rows or memory was reached", "达到行数或内存上限"),
    ErrorKind.REFUSED: ("the source refuses", "数据源拒绝访问"),
    ErrorKind.FAILED: ("the source failed, or is not of this kind", "数据源出错，或类型不符"),
}


def said(name: str, error: ConnectorError) -> ConfigError:
    """Return C013 for a connector's error; the driver's words go to the operator's log only."""
    return incomplete(name, *_KINDS[error.kind], detail=error.detail)


def parsed(name: str, given: Sequence[str]) -> dict[str, str]:
    """Return options from ``key=value`` texts.

    Raises:
        ConfigError: C013 for one without ``=``, or given twice.
    """
    found: dict[str, str] = {}
    for each in given:
        key, separator, value = each.partition("=")
        if not (separator and key.isidentifier() and value):
            raise incomplete(
                name, f"option {key!r} is not key=value", f"选项 {key!r} 不是 key=value 形式"
            )
        if key in found:
            raise incomplete(name, f"option {key} is given twice", f"选项 {key} 重复")
        found[key] = value
    return found


def checked(
    name: str, kind: str, options: Mapping[str, str], allowed: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return options in the maker's order, files by their whole paths; nothing is opened.

    Args:
        name: Of the registration.
        kind: Of the connector.
        options: As given.
        allowed: Third-party connectors by name, each with its distribution.

    Raises:
        ConfigError: C013 for an unknown kind or option, a missing one, a value of the wrong type, or a secret.
    """
    takes = _takes(name, kind, allowed)
    problems = [each for key, value in options.items() for each in _problems(key, value, takes)]
    given = {_target(key, takes) for key in options}
    for key, parameter in takes.items():
        if parameter.default is inspect.Parameter.empty and key not in given:
            problems.append((f"option {key} is missing", f"缺少选项 {key}"))
    if problems:
        raise incomplete(name, "; ".join(p[0] for p in problems), "；".join(p[1] for p in problems))
    order = list(takes)
    keys = sorted(options, key=lambda key: (order.index(_target(key, takes)), key))
    return {key: _whole(key, options[key], takes) for key in keys}


def opened(
    name: str, kind: str, options: Mapping[str, str], allowed: Mapping[str, str] | None = None
) -> Connector:
    """Open a connector, its secrets read now.

    Raises:
        ConfigError: C013 as ``checked``, for a secret that cannot be read, and for a source that does not open.

    Reveals:
        Nothing.
    """
    takes = _takes(name, kind, allowed)
    values: dict[str, Any] = {}
    for key, value in checked(name, kind, options, allowed).items():
        target = _target(key, takes)
        text = value if target == key else _secret(name, key, value)
        values[target] = _typed(text, takes[target].annotation)
    try:
        return connector_factory(kind, allowed)(**values)
    except ConnectorError as error:
        raise said(name, error) from None


def _takes(name: str, kind: str, allowed: Mapping[str, str] | None) -> dict[str, inspect.Parameter]:
    try:
        factory = connector_factory(kind, allowed)
    except ImportError as error:
        raise incomplete(
            name, f"a part that connectors of kind {kind} need is not installed", f"{kind} 连接器所需组件未安装",
            detail=str(error),
        ) from None  # fmt: skip
    except ConnectorError as error:
        known = ", ".join(sorted({*BUILT_IN, *(allowed or {})}))
        raise incomplete(
            name,
            f"no connector of kind {kind!a} may be loaded; there are {known}",
            f"不能加载 {kind!a} 类型的连接器；可用类型：{known}",
            detail=error.detail,
        ) from None
    found = inspect.signature(factory, eval_str=True).parameters
    if inspect.Parameter.VAR_KEYWORD in {each.kind for each in found.values()}:
        # A maker that takes any keyword has a class of its options beside it, called after it.
        module = sys.modules[factory.__module__]
        options = getattr(module, factory.__name__.replace("Connector", "Options"), None)
        if isinstance(options, type) and dataclasses.is_dataclass(options):
            found = inspect.signature(options, eval_str=True).parameters
    return {key: each for key, each in found.items() if each.kind not in _ANY}


def _target(key: str, takes: Mapping[str, inspect.Parameter]) -> str:
    """Return which argument an option sets: ``password_file`` and ``password_env`` set ``password``."""
    if key not in takes:
        for ending in _INDIRECT:
            base = key.removesuffix(ending)
            if base != key and base in takes:
                return base
    return key


def _problems(
    key: str, value: str, takes: Mapping[str, inspect.Parameter]
) -> list[tuple[str, str]]:
    target = _target(key, takes)
    if target not in takes:
        known = ", ".join(takes)
        return [(f"unknown option {key}; there are {known}", f"未知选项 {key}；可用选项：{known}")]
    if (_SECRET.search(key) and not key.endswith(_INDIRECT)) or _INSIDE.search(value):
        base = key if _SECRET.search(key) else "password"
        return [
            (
                f"a secret does not stand in option {key}: give {base}_file or {base}_env",
                f"选项 {key} 中不得写入口令：请用 {base}_file 或 {base}_env",
            )
        ]
    if target == key:
        try:
            _typed(value, takes[key].annotation)
        except ValueError as error:
            return [(f"option {key}: {error.args[0]}", f"选项 {key}：{error.args[1]}")]
    return []


def _whole(key: str, value: str, takes: Mapping[str, inspect.Parameter]) -> str:
    """Return a path as a whole one: the node may be started in another folder."""
    named = key.endswith("_file") or key in _PATHS
    if named or (key in takes and Path in _choices(takes[key].annotation)):
        return str(Path(value).expanduser().absolute())
    return value


def _secret(name: str, key: str, value: str) -> str:
    if key.endswith("_env"):
        found = os.environ.get(value, "")
        if not found:
            raise incomplete(name, f"variable {value} is not set", f"环境变量 {value} 未设置")
        return found
    try:
        if Path(value).stat().st_mode & _ACCESS:
            raise incomplete(
                name,
                f"others can read {value}: chmod 600",
                f"{value} 可被他人读取：请执行 chmod 600",
            )
        found = Path(value).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise incomplete(
            name, f"{value} cannot be read", f"无法读取 {value}", detail=type(error).__name__
        ) from None
    if not found:
        raise incomplete(name, f"{value} is empty", f"{value} 为空")
    return found


# --- types ------------------------------------------------------------------------------------------------------------


def _choices(annotation: object) -> tuple[object, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _typed(text: str, annotation: object) -> object:
    """Return ``text`` as the maker's argument wants it.

    Raises:
        ValueError: It is not; with a sentence in English and one in Chinese.
    """
    choices = [each for each in _choices(annotation) if each is not type(None)]
    if inspect.Parameter.empty in choices or str in choices:
        return text
    if Path in choices:
        return Path(text)
    if bool in choices:
        if text.lower() not in _BOOLEANS:
            raise ValueError("must be true or false", "必须为 true 或 false")
        return _BOOLEANS[text.lower()]
    if int in choices or float in choices:
        return _number(text, whole=float not in choices)
    return _many(text, choices)


def _number(text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise ValueError("must be a number", "必须为数字") from None


def _many(text: str, choices: Sequence[object]) -> object:
    for each in choices:
        origin, inner = get_origin(each), get_args(each)
        if isinstance(origin, type) and issubclass(origin, Mapping) and inner == (str, str):
            pairs = [part.partition(":") for part in re.split(r",(?![^(]*\))", text)]
            if not all(key and separator for key, separator, _ in pairs):
                raise ValueError("must be key:value,key:value", "必须为 key:value,key:value")
            return {key.strip(): value.strip() for key, _, value in pairs}
        if isinstance(origin, type) and origin is not Mapping and inner[:1] == (str,):
            return tuple(part.strip() for part in text.split(","))
    raise ValueError("cannot be given as text", "无法以文本形式给出")
