"""Noisy words that this node made, kept for good: the same question gets the same bytes, and is paid for once.

A question asked again of the same snapshot would else show a second draw of the noise, and cost as much again. Kept
are released words only, by a digest of all that they hang on.

Spec: docs/spec/differential-privacy.md, "The same question".
"""

import os
import sqlite3
from importlib.resources import files
from pathlib import Path
from threading import Lock

from middleplatform.errors import ConfigError

__all__ = ["NoisyAnswers"]


class NoisyAnswers:
    """In a SQLite file of its own, readable by its owner only; safe between threads.

    Args:
        path: The file, made where missing; ``None`` keeps it in memory: for tests.

    Raises:
        ConfigError: C011 when the file cannot be opened or made.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = Lock()
        self._sql = _statements()
        try:
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._database = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(self._sql["create"])
        except (OSError, sqlite3.Error) as error:
            raise _refused(error) from None

    def find(self, question: bytes) -> bytes | None:
        """Return the words of a question that was answered before.

        Raises:
            ConfigError: C011 the file cannot be read.

        Reveals:
            Nothing: the caller has judged the question, and the words were released.
        """
        with self._lock:
            try:
                row = self._database.execute(self._sql["find"], (question,)).fetchone()
            except sqlite3.Error as error:
                raise _refused(error) from None
        return bytes(row[0]) if row else None

    def keep(self, question: bytes, words: bytes) -> bytes:
        """Keep the words of a question on the disk, and return those that are kept: of two draws the first.

        Raises:
            ConfigError: C011 the file refuses the write: then nothing may be released.

        Reveals:
            Nothing.
        """
        with self._lock:
            try:
                self._database.execute(self._sql["keep"], (question, words))
                (kept,) = self._database.execute(self._sql["find"], (question,)).fetchone()
            except sqlite3.Error as error:
                raise _refused(error) from None
        return bytes(kept)

    def close(self) -> None:
        """Close the file.

        Reveals:
            Nothing.
        """
        with self._lock:
            self._database.close()


def _statements() -> dict[str, str]:
    text = files("middleplatform.node").joinpath("noisy_answers.sql").read_text(encoding="utf-8")
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def _refused(error: Exception) -> ConfigError:
    what = ("the record of noisy answers", "差分隐私答案记录")
    return ConfigError("C011", what=what, detail=str(error))
