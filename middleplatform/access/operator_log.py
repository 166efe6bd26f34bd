"""The operator's log: what went wrong inside, for those who run the platform.

One JSON line an incident. Of an unexpected exception it holds the frames and the type names but not
the message: a driver's message may quote a value, and the operator has no right to one either.
"""

import json
import logging
import os
import traceback
from pathlib import Path

from middleplatform.errors import ConfigError, MiddleplatformError
from middleplatform.ports import Clock, Rng

__all__ = ["OperatorLog", "where"]

_BYTES_MAX = 16_000_000


class OperatorLog:
    """Lines appended to one file, readable by its owner alone.

    Args:
        path: The file; one older generation stands beside it as ``<name>.1``.
        clock: When a line was written.
        rng: For record numbers.
    """

    def __init__(self, path: Path, clock: Clock, rng: Rng) -> None:
        self._path, self._clock, self._rng = path, clock, rng

    def internal(self, error: BaseException) -> ConfigError:
        """Write an unexpected exception down and return C099 with the record's number."""
        record = self._rng.token_bytes(8).hex()
        self._write({
            "record": record, "code": "C099", "type": _types(error), "frames": _frames(error),
        })  # fmt: skip
        return ConfigError("C099", record=record)

    def detail(self, error: MiddleplatformError) -> None:
        """Write down what an error did not say outside, if anything."""
        if error.detail:
            self._write({"code": error.code, "detail": error.detail})

    def attach(self) -> None:
        """Send what the platform's modules log here, and nowhere else: not to a person's screen."""
        logger = logging.getLogger("middleplatform")
        for each in list(logger.handlers):
            logger.removeHandler(each)
        logger.addHandler(_Handler(self))
        logger.propagate = False

    def _write(self, fields: dict[str, object]) -> None:
        line = {"at": self._clock.now().isoformat(), "pid": os.getpid(), **fields}
        text = json.dumps(line, ensure_ascii=True) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _BYTES_MAX:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
        except OSError:
            return  # a full disk must not hide the error that is being told


class _Handler(logging.Handler):
    """Passes log records on."""

    def __init__(self, target: OperatorLog) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        """Write one down."""
        self._target._write({  # noqa: SLF001 - its own other half
            "logger": record.name, "level": record.levelname, "said": record.getMessage(),
        })  # fmt: skip


def _types(error: BaseException) -> list[str]:
    """Return the type names from ``error`` down its causes."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 8:  # noqa: PLR2004 - enough to tell a cause
        names.append(f"{type(current).__module__}.{type(current).__qualname__}")
        current = current.__cause__ or current.__context__
    return names


def where(error: BaseException) -> str:
    """Return an exception's type and the last places it came through, without its message, which may quote a value."""
    return " < ".join([type(error).__name__, *_frames(error)[-6:]])


def _frames(error: BaseException) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
