"""What every command gets: the language, where to print, the settings, and the way in."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.cli.locale import Say, sayer
from middleplatform.cli.progress import shown
from middleplatform.errors import ConfigError, MiddleplatformError
from middleplatform.settings import Settings, load

if TYPE_CHECKING:  # the engine behind it takes a second to import; --help must not
    from middleplatform.demo.runtime import Platform
    from middleplatform.ports import Progress

__all__ = ["Context", "Opener", "consoles", "open_really", "styled"]

Opener = Callable[["Settings", "Progress | None"], "Platform"]


def open_really(settings: Settings, progress: "Progress | None") -> "Platform":
    """Open the platform; the import waits until a command needs it."""
    from middleplatform.demo.runtime import open_platform  # noqa: PLC0415 - see above

    return open_platform(settings, progress)


@dataclass
class Context:
    """The circumstances of one command.

    Attributes:
        locale: ``"en"`` or ``"zh"``.
        out: For results.
        err: For messages and progress.
        settings_file: TOML, or None.
        as_json: Whether a program reads.
        opener: Opens the platform; tests pass their own.
    """

    locale: str
    out: Console
    err: Console
    settings_file: Path | None = None
    as_json: bool = False
    opener: Opener = open_really
    _settings: Settings | None = field(default=None, init=False)

    @property
    def say(self) -> Say:
        """Return what picks the text of the locale."""
        return sayer(self.locale)

    @property
    def settings(self) -> Settings:
        """Return the settings, read when first needed.

        Raises:
            ConfigError: C003.
        """
        if self._settings is None:
            self._settings = load(self.settings_file)
        return self._settings

    @property
    def operator_log(self) -> OperatorLog:
        """Return the operator's log, in the folder of the settings, or of the default ones."""
        try:
            state = self.settings.state
        except ConfigError:
            state = Settings().state
        return OperatorLog(state / "operator.log", SystemClock(), SystemRng())

    def note(self, error: MiddleplatformError) -> None:
        """Write down for the operator what ``error`` does not say to others."""
        if error.detail:
            self.operator_log.detail(error)

    @contextmanager
    def platform(self, settings: Settings | None = None) -> Iterator["Platform"]:
        """Open the platform, closed again on the way out.

        Args:
            settings: Others than the command line's.
        """
        with shown(self.err, self.say) as progress:
            opened = self.opener(settings or self.settings, progress)
        with opened:
            yield opened

    def emit(self, value: object) -> None:
        """Print one JSON document on standard output; exact decimals stand as text."""
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False, default=_decimal)
        self.write(text + "\n")

    def write(self, text: str) -> None:
        """Print ``text`` as it is: no markup, no wrapping."""
        self.out.file.write(text)

    def tell(self, english: str, chinese: str) -> None:
        """Print a sentence on standard error."""
        self.err.print(self.say(english, chinese), markup=False, highlight=False, soft_wrap=True)


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def styled(console: Console) -> Console:
    """Return a console on the same stream that takes markup, for our own text."""
    return Console(file=console.file, width=console.width, highlight=False, emoji=False)


def consoles() -> tuple[Console, Console]:
    """Return consoles for standard output and error; a pipe gets lines that are not cut."""
    made = []
    for stream in (sys.stdout, sys.stderr):
        width = None if stream.isatty() else 200
        made.append(Console(file=stream, width=width, highlight=False, markup=False, emoji=False))
    return made[0], made[1]
