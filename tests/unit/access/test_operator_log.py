"""The operator learns where it went wrong, never a value."""

import json
import logging
import stat

import pytest

from middleplatform.access.operator_log import OperatorLog
from middleplatform.errors import ConfigError
from tests.fakes.doors import CountingRng, HandClock


@pytest.fixture
def log(tmp_path):
    made = OperatorLog(tmp_path / "state" / "operator.log", HandClock(), CountingRng())
    yield made
    logger = logging.getLogger("middleplatform")
    logger.handlers.clear()
    logger.propagate = True


def lines(tmp_path):
    return [
        json.loads(line) for line in (tmp_path / "state" / "operator.log").read_text().splitlines()
    ]


def fail():
    try:
        {}["990101199001011234"]
    except KeyError as cause:
        raise RuntimeError("value 990101199001011234 does not cast") from cause


def test_unexpected_exception_is_recorded_by_frames_and_types_without_its_message(log, tmp_path):
    with pytest.raises(RuntimeError) as caught:
        fail()
    told = log.internal(caught.value)
    (line,) = lines(tmp_path)
    assert told.code == "C099"
    assert line["record"] in told.public_message
    assert line["type"] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert any(" fail" in frame for frame in line["frames"])
    assert "990101199001011234" not in (tmp_path / "state" / "operator.log").read_text()


def test_detail_is_recorded_and_its_absence_is_not(log, tmp_path):
    log.detail(ConfigError("C011", what="x", detail="disk full\nsecond line"))
    log.detail(ConfigError("C011", what="x"))
    (line,) = lines(tmp_path)
    assert (line["code"], line["detail"]) == ("C011", "disk full\nsecond line")


def test_what_modules_log_goes_to_the_file_and_not_to_the_screen(log, tmp_path, capsys):
    log.attach()
    logging.getLogger("middleplatform.gateway").error("query %s", "q1")
    assert lines(tmp_path)[0]["said"] == "query q1"
    assert capsys.readouterr().err == ""


def test_file_is_readable_by_its_owner_alone(log, tmp_path):
    log.detail(ConfigError("C011", what="x", detail="y"))
    assert stat.S_IMODE((tmp_path / "state" / "operator.log").stat().st_mode) == 0o600


def test_full_disk_does_not_hide_the_error_that_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    log = OperatorLog(tmp_path / "file" / "operator.log", HandClock(), CountingRng())
    assert log.internal(ValueError("x")).code == "C099"
