"""The command line over a fake platform, run in process."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from middleplatform.cli.main import main
from middleplatform.settings import Settings
from tests.fakes.doors import FakeGateway, FakePlatform, open_fake


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs commands over one fake gateway."""

    state: Path
    capsys: pytest.CaptureFixture[str]
    prepare: Callable[[FakeGateway], None] = lambda _: None
    opened: list[FakePlatform] | None = None

    def __call__(self, *arguments: str) -> Ran:
        def opener(settings: Settings, progress: object) -> FakePlatform:
            assert progress is None, "a test's standard error is no terminal"
            gateway = open_fake(self.state)
            self.prepare(gateway)
            platform = FakePlatform(gateway, settings)
            self.opened = [*(self.opened or []), platform]
            return platform

        self.capsys.readouterr()
        try:
            code = main(list(arguments), opener)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self.capsys.readouterr()
        return Ran(code, out, err)


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MIDDLEPLATFORM_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    yield Shell(tmp_path / "state", capsys)
    logger = logging.getLogger("middleplatform")
    logger.handlers.clear()
    logger.propagate = True
