"""``node.yaml``: what a department's operator sets. Every field documented, unknown ones refused.

Reveals:
    Nothing.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from middleplatform.errors import ConfigError
from middleplatform.model.request import Role, Subject

__all__ = ["SOCKET", "NodeConfig", "NodeLimits", "load"]

SOCKET = "node.sock"
"""Name of the operator's socket in the state folder."""


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """Bounds on what one node does at once and for one fragment.

    Attributes:
        concurrency: Calls that run at once.
        waiting: Calls that wait for a place; one more is refused with L001.
        timeout_s: Seconds for one call.
        rows_max: Rows of one statement's result inside the node.
        memory_mb: Mebibytes of one statement's result inside the node. What an engine may use is an option of its
            connector.
        rounds_max: Secure sums under way.
        body_mb: Mebibytes of one message.
        answers_mb: Mebibytes of answers that are kept to be given again, where the source's data cannot change while
            it is open; 0 keeps none.
    """

    concurrency: int = 4
    waiting: int = 64
    timeout_s: int = 60
    rows_max: int = 5_000_000
    memory_mb: int = 1024
    rounds_max: int = 64
    body_mb: int = 64
    answers_mb: int = 16


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A node's settings.

    Attributes:
        department: Its code.
        state: Folder of its keys, certificate, roster, log, history and registered connectors.
        listen: ``host:port`` of the encrypted interface; port 0 for any free one.
        catalog: Folder of its own copy of the catalogue.
        bundle: Folder of its own policy: what is published may not loosen what it says.
        grants: Whose grants count: ``platform`` those too that the gateway signs, which data owners gave in the
            platform's store; ``own`` those alone that stand in ``bundle``.
        metrics: ``host:port`` of a plain interface with health and metrics, loopback only; none when empty. The
            Unix socket ``node.sock`` in ``state`` offers them always.
        limits: Bounds.
        clock_tolerance_s: Seconds by which the gateway's clock may differ.
        grace_s: Seconds that running calls have when the node is asked to stop.
        stewards: Who may ask the department's own data on its machine.
        allowed: Third-party connectors by name, each with the distribution that must offer it.
        retention_years: How long the node's log is kept, at least 3 (decree 809 art. 29).
        passphrase_file: File with the passphrase of the node's keys; empty when they have none or it comes otherwise.
        lifeline: End when standard input ends: for a node that another process started.
    """

    department: str
    state: Path
    catalog: Path
    bundle: Path
    grants: str = "platform"
    listen: str = "127.0.0.1:0"
    metrics: str = ""
    limits: NodeLimits = field(default_factory=NodeLimits)
    clock_tolerance_s: int = 300
    grace_s: int = 20
    stewards: tuple[Subject, ...] = ()
    allowed: Mapping[str, str] = field(default_factory=dict)
    retention_years: int = 3
    passphrase_file: Path | None = None
    lifeline: bool = False

    @property
    def trust(self) -> Path:
        """Return the folder of the node's keys, certificate and roster."""
        return self.state / "trust"

    @property
    def socket(self) -> Path:
        """Return where the department's own operator reaches the node."""
        return self.state / SOCKET


def load(path: Path) -> NodeConfig:
    """Read ``node.yaml``; its paths are relative to its folder.

    Raises:
        ConfigError: C003, naming the field.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise _refused(path, ("it cannot be read", "无法读取")) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _refused(path, ("it is no YAML", "不是有效的 YAML")) from None
    if not isinstance(raw, dict):
        raise _refused(path, ("it holds no mapping", "内容不是映射"))
    try:
        return _checked(_built(raw, path.parent.resolve()))
    except _Field as problem:
        raise _refused(path, problem.what) from None


class _Field(Exception):  # noqa: N818 - not an error of the program but of the file
    """A field that is not as it must be."""

    def __init__(self, name: str, english: str, chinese: str) -> None:
        super().__init__(name)
        self.what = (f"{name}: {english}", f"{name}：{chinese}")


def _refused(path: Path, what: tuple[str, str]) -> ConfigError:
    return ConfigError("C003", what=(f"{path.name}: {what[0]}", f"{path.name}：{what[1]}"))


def _built(raw: dict[str, Any], folder: Path) -> NodeConfig:
    _only_known(raw)
    values: dict[str, Any] = dict(raw)
    for name in ("state", "catalog", "bundle", "passphrase_file"):
        if values.get(name) is not None:
            values[name] = folder / _text(values, name)
    for name in ("department", "state", "catalog", "bundle"):
        if name not in values:
            raise _Field(name, "is missing", "缺失")
    values["limits"] = _limits(values.get("limits") or {})
    values["stewards"] = tuple(
        _steward(each, _text(values, "department")) for each in values.get("stewards") or ()
    )
    for name in ("department", "grants", "listen", "metrics"):
        if name in values:
            values[name] = _text(values, name)
    for name in ("clock_tolerance_s", "grace_s", "retention_years"):
        if name in values:
            values[name] = _number(values, name)
    return NodeConfig(**values)


def _only_known(raw: Mapping[str, Any]) -> None:
    known = {item.name for item in fields(NodeConfig)}
    for name in raw:
        if name not in known:
            raise _Field(str(name), "unknown field", "未知字段")


def _checked(config: NodeConfig) -> NodeConfig:
    if config.retention_years < 3:  # noqa: PLR2004 - the decree's number
        raise _Field(
            "retention_years", "at least 3 (decree 809 art. 29)", "至少为 3（809 号令第 29 条）"
        )
    for name in ("listen", "metrics"):
        address = getattr(config, name)
        host, _, port = address.rpartition(":")
        if address and not (host and port.isdigit() and int(port) <= 65535):  # noqa: PLR2004 - TCP
            raise _Field(name, "must be host:port", "必须为 主机:端口")
    if config.metrics and not _is_loopback(config.metrics.rpartition(":")[0]):
        raise _Field(
            "metrics",
            "must be a loopback address: it is not encrypted",
            "必须为回环地址：该接口不加密",
        )
    if config.grants not in ("platform", "own"):
        raise _Field("grants", "must be platform or own", "必须为 platform 或 own")
    if not isinstance(config.lifeline, bool):
        raise _Field("lifeline", "must be true or false", "必须为 true 或 false")
    if not isinstance(config.allowed, Mapping):
        raise _Field("allowed", "must be a mapping", "必须为映射")
    return config


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise _Field(name, "must be a text", "必须为文本")
    return value


def _number(values: Mapping[str, Any], name: str, least: int = 1) -> int:
    value = values.get(name)
    if type(value) is not int or value < least:
        raise _Field(
            name, f"must be a whole number, at least {least}", f"必须为不小于 {least} 的整数"
        )
    return value


_LEAST = {"answers_mb": 0}


def _limits(raw: Any) -> NodeLimits:  # noqa: ANN401 - YAML
    known = {item.name for item in fields(NodeLimits)}
    if not isinstance(raw, dict) or not set(raw) <= known:
        raise _Field(
            "limits", f"knows {', '.join(sorted(known))}", f"仅支持 {'、'.join(sorted(known))}"
        )
    return NodeLimits(**{name: _number(raw, name, _LEAST.get(name, 1)) for name in raw})


def _steward(raw: Any, department: str) -> Subject:  # noqa: ANN401 - YAML
    if not isinstance(raw, dict) or not set(raw) <= {"id", "roles", "regions"}:
        raise _Field("stewards", "each has id, roles and regions", "每项包含 id、roles、regions")
    try:
        roles = frozenset(Role(role) for role in raw.get("roles", ()))
    except ValueError:
        raise _Field("stewards", "an unknown role", "未知角色") from None
    return Subject(_text(raw, "id"), department, roles, _regions(raw.get("regions", ["*"])))


def _regions(raw: Any) -> tuple[str, ...]:  # noqa: ANN401 - YAML
    good = isinstance(raw, list) and raw and all(isinstance(each, str) and each for each in raw)
    if not good:
        raise _Field("stewards", "regions is a list of codes", "regions 应为代码列表")
    return tuple(raw)
