"""What an operator says of logins, in one YAML file: provider of identities, claims, sessions, limits.

Spec: docs/spec/login.md; schema policies/schema/login.schema.json.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from middleplatform.errors import ConfigError
from middleplatform.login.claims import Claim, ClaimRules
from middleplatform.login.sessions import Bounds
from middleplatform.model.request import Role
from policies.documents import Problem, place, read
from policies.schemas import breaches

__all__ = ["LOOPBACK", "Limits", "LoginConfig", "Provider", "load"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAME = ("the login of your organization", "单位统一身份认证")
_ALGORITHMS = ("RS256", "PS256", "ES256", "Ed25519")


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast anybody may ask, and what failed logins lead to.

    Attributes:
        address_per_minute: Requests of one address.
        login_per_minute: Requests with one token or session.
        failures: Failed logins of one login from one address before it has to wait.
        wait: The first wait; each further failure doubles it.
        wait_max: The longest.
        failures_per_minute: Of everybody together; beyond it only addresses without a failure are heard.
    """

    address_per_minute: int = 12_000
    login_per_minute: int = 6000
    failures: int = 5
    wait: timedelta = timedelta(seconds=30)
    wait_max: timedelta = timedelta(hours=1)
    failures_per_minute: int = 300


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of identities.

    Attributes:
        issuer: Its issuer identifier, as its tokens say it.
        client_id: Under which it knows this platform.
        client_secret: Of a confidential client; empty for a public one. Never shown.
        name: (English, Chinese), for the button.
        scopes: Asked for, ``openid`` first.
        algorithms: Signatures that are taken.
        ca_file: Certificates that vouch for its server; None for the system's.
        skew: By how much its clock may differ.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: tuple[str, str] = _NAME
    scopes: tuple[str, ...] = ("openid",)
    algorithms: tuple[str, ...] = _ALGORITHMS
    ca_file: Path | None = None
    skew: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class LoginConfig:
    """Everything of the file.

    Attributes:
        address: Under which browsers reach the service, without a path; empty where nothing says so.
        provider: None where only tokens let in.
        claims: What claims give; None without a provider.
        bounds: Of sessions.
        limits: Of requests and failures.
    """

    address: str = ""
    provider: Provider | None = None
    claims: ClaimRules | None = None
    bounds: Bounds = field(default_factory=Bounds)
    limits: Limits = field(default_factory=Limits)


def load(file: Path | None) -> LoginConfig:
    """Return what ``file`` says; logins by token only without one.

    Raises:
        ConfigError: C003 with every problem and its place, or a file that cannot be read; C006 the file with the
            client's secret is readable by others.
    """
    if file is None:
        return LoginConfig()
    try:
        document, found = read(file.name, file.read_bytes())
    except OSError:
        raise ConfigError("C003", what=_unreadable(file)) from None
    problems = list(found) or list(breaches(document, "login"))
    if problems:
        raise _invalid(problems)
    raw = cast("dict[str, Any]", document.value)
    address = str(raw["address"])
    provider = raw.get("provider")
    if provider is not None and not _agree(address, str(provider["issuer"])):
        what = ("plain http is for a provider and a platform on this machine",
                "仅当平台与身份提供方都在本机时可使用 http")  # fmt: skip
        spot = place(document, ("provider", "issuer"))
        raise _invalid([Problem(file.name, *spot, "provider / issuer", what)])
    return LoginConfig(
        address,
        None if provider is None else _provider(provider, file.parent),
        None if provider is None else _claims(raw["claims"]),
        _bounds(raw.get("sessions", {})),
        _limits(raw.get("limits", {})),
    )


def _agree(address: str, issuer: str) -> bool:
    return issuer.startswith("https://") or address.startswith("http://")


def _provider(raw: Mapping[str, Any], folder: Path) -> Provider:
    secret, ca_file = raw.get("client_secret_file"), raw.get("ca_file")
    name = raw.get("name")
    return Provider(
        str(raw["issuer"]),
        str(raw["client_id"]),
        "" if secret is None else _secret(folder / str(secret)),
        _NAME if name is None else (str(name["en"]), str(name["zh"])),
        ("openid", *(str(each) for each in raw.get("scopes", []) if each != "openid")),
        tuple(raw.get("algorithms", _ALGORITHMS)),
        None if ca_file is None else folder / str(ca_file),
        timedelta(seconds=int(raw.get("clock_skew_seconds", 60))),
    )


def _secret(file: Path) -> str:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError("C003", what=_unreadable(file)) from None
    if mode & 0o077:
        what = (f"{file} can be read by others: chmod 600", f"{file} 可被他人读取：请 chmod 600")
        raise ConfigError("C006", what=what)
    if not text:
        raise ConfigError("C003", what=(f"{file} is empty", f"{file} 为空"))
    return text


def _claims(raw: Mapping[str, Any]) -> ClaimRules:
    login = raw.get("login", {"claim": "sub"})
    department, regions = raw["department"], raw["regions"]
    roles = {str(key): Role(value) for key, value in raw["roles"]["values"].items()}
    return ClaimRules(
        login=_claim(login["claim"]),
        prefix=str(login.get("prefix", "")),
        department=_claim(department.get("claim", ())),
        departments=dict(department.get("values", {})),
        department_always=str(department.get("always", "")),
        role=_claim(raw["roles"]["claim"]),
        roles=roles,
        region=_claim(regions.get("claim", ())),
        regions=dict(regions.get("values", {})),
        regions_always=tuple(regions.get("always", ())),
    )


def _claim(raw: str | list[str] | tuple[str, ...]) -> Claim:
    return (raw,) if isinstance(raw, str) else tuple(raw)


def _bounds(raw: Mapping[str, int]) -> Bounds:
    plain = Bounds()
    return Bounds(
        timedelta(minutes=raw["idle_minutes"]) if "idle_minutes" in raw else plain.idle,
        timedelta(hours=raw["hours"]) if "hours" in raw else plain.absolute,
        raw.get("per_login", plain.per_login),
    )


def _limits(raw: Mapping[str, int]) -> Limits:
    plain = Limits()
    return Limits(
        raw.get("address_per_minute", plain.address_per_minute),
        raw.get("login_per_minute", plain.login_per_minute),
        raw.get("failures", plain.failures),
        timedelta(seconds=raw["wait_seconds"]) if "wait_seconds" in raw else plain.wait,
        timedelta(minutes=raw["wait_minutes_max"]) if "wait_minutes_max" in raw else plain.wait_max,
        raw.get("failures_per_minute", plain.failures_per_minute),
    )


def _unreadable(file: Path) -> tuple[str, str]:
    return (f"{file} cannot be read", f"无法读取 {file}")


def _invalid(problems: list[Problem]) -> ConfigError:
    texts = tuple("\n".join(each.text(locale) for each in problems) for locale in ("en", "zh"))
    return ConfigError("C003", what=texts)
