"""A recipient of sealed answers, who makes, publishes and uses a key with the commands that a person would type.

The private key lies in a folder of the recipient's own; neither gateway nor nodes read it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from middleplatform.access import shapes
from middleplatform.errors import ConfigError
from middleplatform.model.result import Answer
from middleplatform.ports import Progress, Rng
from middleplatform.settings import Settings

__all__ = ["Recipient"]

_STEPS = 2
_PARTIES = ".parties.json"


@dataclass(frozen=True)
class Recipient:
    """One person with one key.

    Attributes:
        login: Whose key it is, a person of the demonstration.
        folder: The person's own.
        settings: Of the gateway, with which the public half is published.
    """

    login: str
    folder: Path
    settings: Settings

    @property
    def key(self) -> Path:
        """Return the key file."""
        return self.folder / f"{self.login}.key"

    @property
    def key_id(self) -> str:
        """Return what a question names to be answered under this key."""
        public = self.key.with_name(self.key.name + ".public.json")
        return str(json.loads(public.read_text(encoding="utf-8"))["key_id"])

    def prepare(self, rng: Rng, progress: Progress) -> None:
        """Have a key made and its public half published; a key that was published serves again.

        The gateway's log must not be open elsewhere in the meantime.

        Args:
            rng: Draws the passphrase.
            progress: Hears of the steps.

        Raises:
            ConfigError: C006 a command does not end as it must.
        """
        if self.key.with_name(self.key.name + _PARTIES).exists():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        with os.fdopen(os.open(self._passphrase, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(rng.token_bytes(24).hex())
        progress("key", 0, _STEPS)
        secret = ("--passphrase-file", self._passphrase.name)
        self._run("keys", "new", self.key.name, "--holder", self.login, *secret)
        progress("key", 1, _STEPS)
        self._run("keys", "publish", self.key.name, "--as", self.login)
        progress("key", _STEPS, _STEPS)

    def open(self, number: str, answer: Answer) -> Mapping[str, Any]:
        """Keep a sealed answer as a file and have it opened.

        Args:
            number: Of the question, for the file's name.
            answer: As the gateway gave it.

        Returns:
            What ``middleplatform open --json`` prints.

        Raises:
            ConfigError: C006 it is not opened.
        """
        file = self.folder / f"answer-{re.sub('[^0-9A-Za-z]+', '-', number)}.json"
        text = json.dumps(shapes.answer(answer), ensure_ascii=False)
        file.write_text(text, encoding="utf-8")
        said = self._run("open", file.name, "--json", "--passphrase-file", self._passphrase.name)
        return cast("Mapping[str, Any]", json.loads(said))

    @property
    def _passphrase(self) -> Path:
        return self.folder / "passphrase"

    def _run(self, *arguments: str) -> str:
        """Run one command of ``middleplatform`` in the recipient's folder; return what it prints."""
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "middleplatform", *arguments],
            cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            detail = done.stderr + done.stdout
            command = f"middleplatform {arguments[0]}"
            what = (
                f"{command} ended with {done.returncode}",
                f"{command} 以 {done.returncode} 结束",
            )
            raise ConfigError("C006", what=what, detail=detail)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("MIDDLEPLATFORM_")
        }
        places = {
            "STATE": self.settings.state,
            "TRUST": self.settings.trust,
            "CATALOG": self.settings.catalog,
            "BUNDLE": self.settings.bundle,
            "ORIGIN": self.settings.origin,
        }
        told = {
            f"MIDDLEPLATFORM_{name}": str(value.resolve() if isinstance(value, Path) else value)
            for name, value in places.items()
            if value is not None
        }
        return kept | told
