"""One frozen Settings: every field documented, from TOML and the environment, refused when it makes no sense."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from middleplatform.errors import ConfigError

__all__ = ["Settings", "load"]

_PREFIX = "MIDDLEPLATFORM_"
_PATHS = (
    "state",
    "catalog",
    "bundle",
    "data",
    "trust",
    "passphrase_file",
    "calendar",
    "regulation",
    "login",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator sets.

    Attributes:
        state: Folder of the audit log, keys, tokens and history.
        catalog: Folder of the catalogue; the shipped example when empty.
        bundle: Folder of the policy bundle; the shipped example when empty.
        data: Folder of the departments' databases.
        host: Address that ``serve`` listens on.
        port: Port of ``serve``; 0 for any free one.
        origin: Name of this platform's log, as written in its checkpoints.
        retention_years: How long entries are kept, at least 3 (decree 809 art. 29).
        queries_max: Questions that run at once.
        queries_own_max: Questions of one person that run at once; 0 for three quarters of ``queries_max``, rounded up.
        deadline_s: Seconds that one department has for one fragment.
        memory_mb: Megabytes that one department's engine may use.
        threads: Threads of one department's engine.
        trust: Folder made by ``gateway init``: nodes are reached at their addresses in its roster. Empty runs the
            demonstration's nodes in this process.
        passphrase_file: File with the passphrase of encrypted key files, mode 0600.
        store: Address of the platform's own records, ``sqlite:///<file>`` or
            ``postgresql+pg8000://user:password@host/database``; empty for ``store.db`` in the state folder. With
            PostgreSQL several gateways share it, and the audit log, tokens and published keys lie there too.
        calendar: File (YAML) with days off and extra working days, for years that the platform does not know or knows
            wrongly; none when empty.
        regulation: File (YAML) with deadlines in working days, each with its article; those of decree 809 when empty.
        login: File (YAML) with the provider of identities, what its claims give, how long sessions hold and how fast
            anybody may ask; logins by service token only when empty.
    """

    state: Path = Path("var/state")
    catalog: Path | None = None
    bundle: Path | None = None
    data: Path = Path("var/departments")
    host: str = "127.0.0.1"
    port: int = 8809
    origin: str = "middleplatform.example/audit"
    retention_years: int = 3
    queries_max: int = 8
    queries_own_max: int = 0
    deadline_s: int = 60
    memory_mb: int = 4096
    threads: int = 2
    trust: Path | None = None
    passphrase_file: Path | None = None
    store: str = ""
    calendar: Path | None = None
    regulation: Path | None = None
    login: Path | None = None

    def __post_init__(self) -> None:
        if self.retention_years < 3:  # noqa: PLR2004 - the decree's number
            raise ConfigError(
                "C003", what="retention_years must be at least 3 (decree 809 art. 29)"
            )
        for name in ("queries_max", "deadline_s", "memory_mb", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError("C003", what=f"{name} must be at least 1")
        if self.queries_own_max < 0:
            raise ConfigError("C003", what="queries_own_max must be at least 0")
        if not 0 <= self.port <= 65535:  # noqa: PLR2004 - TCP
            raise ConfigError("C003", what="port must lie between 0 and 65535")


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings from ``file`` (TOML) and then from ``MIDDLEPLATFORM_*`` variables, which win.

    Raises:
        ConfigError: C003, naming the file or field.
    """
    values: dict[str, object] = {}
    if file is not None:
        try:
            values.update(tomllib.loads(file.read_text(encoding="utf-8")))
        except OSError:
            raise ConfigError("C003", what=f"{file} cannot be read") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("C003", what=f"{file}: {error}") from None
    for name, text in (os.environ if environment is None else environment).items():
        if name.startswith(_PREFIX):
            values[name.removeprefix(_PREFIX).lower()] = text
    known = {item.name for item in fields(Settings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError("C003", what=f"unknown setting {', '.join(unknown)}")
    return replace(Settings(), **{name: _typed(name, value) for name, value in values.items()})  # type: ignore[arg-type]  # typed by field


def _typed(name: str, value: object) -> object:
    if name in _PATHS:
        return Path(str(value)).expanduser() if str(value) else None
    if name in ("host", "origin", "store"):
        return str(value)
    try:
        return int(str(value))
    except ValueError:
        raise ConfigError("C003", what=f"{name} must be a whole number") from None
