"""Does the demonstration's recipient make its key once, keep it to itself, and say so when a command fails?"""

import stat

import pytest

from middleplatform.access.system import SystemRng
from middleplatform.demo.recipient import Recipient
from middleplatform.errors import ConfigError
from middleplatform.settings import Settings


@pytest.fixture
def recipient(demo_data, tmp_path):
    settings = Settings(state=tmp_path / "state", data=demo_data)
    return Recipient("analyst_drc", tmp_path / "own", settings)


def test_a_key_is_made_and_published_once_and_nobody_else_reads_it(recipient):
    steps = []
    recipient.prepare(SystemRng(), lambda *step: steps.append(step))
    first = recipient.key_id
    recipient.prepare(SystemRng(), lambda *step: steps.append(step))
    assert steps == [("key", done, 2) for done in range(3)]
    assert recipient.key_id == first
    for path in (recipient.key, recipient.folder / "passphrase"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(recipient.folder.stat().st_mode) == 0o700


def test_a_command_that_fails_is_told_with_what_it_said(recipient):
    other = Recipient("nobody", recipient.folder, recipient.settings)
    with pytest.raises(ConfigError) as caught:
        other.prepare(SystemRng(), lambda *_: None)
    assert caught.value.code == "C006"
    assert "middleplatform keys" in caught.value.message("en")
    assert "nobody" in caught.value.detail
