"""Is the desk reached by its owner alone, also in a deep folder, and does it say nothing that stems from data?"""

import asyncio
import json
import stat
import threading

import pytest

from middleplatform.errors import ConfigError, QueryError, SourceError
from middleplatform.node.desk_client import ask_own, read
from middleplatform.node.server.desk import Desk
from middleplatform.node.server.metrics import Metrics
from middleplatform.node.server.run import _local, _plain


@pytest.fixture(params=["shallow", "deep"])
def path(request, tmp_path):
    folder = tmp_path / ("d" * 60) / ("e" * 60) if request.param == "deep" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "node.sock"


@pytest.fixture
def desk(path):
    """A running desk whose stewards are answered by ``answers``."""
    answers = {}

    async def own(steward, sql, purpose):
        return answers["own"](steward, sql, purpose)

    metrics = Metrics()
    listener, loop = _local(path), asyncio.new_event_loop()
    server = _plain(Desk(metrics, lambda: {"department": "ga"}, own))
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve([listener]),))
    thread.start()
    yield path, answers, metrics
    loop.call_soon_threadsafe(server.stop)
    thread.join(30)
    assert not thread.is_alive()
    loop.close()


def test_the_desk_is_its_owners_alone(desk):
    assert stat.S_IMODE(desk[0].stat().st_mode) == 0o600


def test_health_status_and_metrics_are_told(desk):
    path, _, metrics = desk
    with metrics.call("answer") as outcome:
        outcome.code = "D010"
    assert json.loads(read(path, "ga", "/health")) == {"status": "ok"}
    assert json.loads(read(path, "ga", "/status")) == {"department": "ga"}
    assert 'middleplatform_node_calls_total{call="answer",code="D010"} 1.0' in read(path, "ga", "/metrics")  # fmt: skip


def test_a_steward_is_answered_and_refused_with_the_nodes_own_code(desk):
    path, answers, _ = desk
    answers["own"] = lambda steward, sql, purpose: {"rows": [[steward, sql, purpose]]}
    assert ask_own(path, "ga", "li", "SELECT 1", "data_quality", 5)["rows"] == [["li", "SELECT 1", "data_quality"]]  # fmt: skip

    def refuse(*_):
        raise QueryError("Q021", name="x.y")

    answers["own"] = refuse
    with pytest.raises(QueryError) as caught:
        ask_own(path, "ga", "li", "SELECT 1", "data_quality", 5)
    assert caught.value.code == "Q021"


def test_an_unexpected_error_says_nothing_of_itself(desk):
    path, answers, _ = desk

    def fail(*_):
        raise RuntimeError("990101198001011234")

    answers["own"] = fail
    with pytest.raises(ConfigError) as caught:
        ask_own(path, "ga", "li", "SELECT 1", "data_quality", 5)
    assert (caught.value.code, "9901" in str(caught.value)) == ("C099", False)


def test_no_node_is_unreachable(tmp_path):
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "node.sock", "ga", "/health")
    assert caught.value.code == "S001"
