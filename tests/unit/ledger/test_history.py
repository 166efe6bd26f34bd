"""What is kept of releases and questions: by project, durably, and nothing when the file refuses."""

import pytest

from middleplatform.errors import ConfigError
from middleplatform.ledger.history import History, Population

MOMENT = "2026-03-01T00:00:00+00:00"
FAR = (10**6, 10**6)


def population(low, high=None, shape="S", label=""):
    return Population(shape, label, low, low if high is None else high)


@pytest.fixture
def history():
    opened = History(None)
    yield opened
    opened.close()


def test_nothing_is_known_at_first(history):
    assert not history.any("p", "d")
    assert history.near("p", "d", (0, 10**9), FAR) == []


def test_populations_are_kept_by_project_and_dataset(history):
    history.add("p", "d", [population(10)], MOMENT)
    assert history.any("p", "d")
    assert not history.any("q", "d")
    assert not history.any("p", "e")


@pytest.mark.parametrize(("bounds", "found"), [((10, 20), True), ((20, 30), True), ((0, 10), True), ((12, 13), True), ((21, 30), False), ((0, 9), False)])  # fmt: skip
def test_near_is_by_overlapping_sizes(history, bounds, found):
    history.add("p", "d", [population(10, 20)], MOMENT)
    assert bool(history.near("p", "d", bounds, FAR)) is found
    assert bool(history.near("p", "d", FAR, bounds)) is found, "of the complement too"


def test_a_population_seen_again_takes_its_new_size(history):
    history.add("p", "d", [population(10)], MOMENT)
    history.add("p", "d", [population(50)], MOMENT)
    assert history.near("p", "d", (10, 10), FAR) == []
    assert history.near("p", "d", (50, 50), FAR) == [population(50)]


def test_questions_of_one_fingerprint_are_counted_by_day_and_project(history):
    assert [history.ask("p", "d1", "f", text) for text in ("a", "b", "a", "c")] == [1, 2, 2, 3]
    assert history.ask("p", "d2", "f", "a") == 1
    assert history.ask("q", "d1", "f", "a") == 1
    assert history.ask("p", "d1", "g", "a") == 1


def test_history_survives_a_restart(tmp_path):
    first = History(tmp_path / "h.db")
    first.add("p", "d", [population(10)], MOMENT)
    first.ask("p", "d1", "f", "a")
    first.close()
    again = History(tmp_path / "h.db")
    assert again.near("p", "d", (10, 10), FAR) == [population(10)]
    assert again.ask("p", "d1", "f", "b") == 2
    again.close()


def test_a_file_that_is_no_history_refuses_the_start(tmp_path):
    (tmp_path / "h.db").write_bytes(b"not a database" * 100)
    for path in (tmp_path / "h.db", tmp_path / "missing" / "h.db", tmp_path):
        with pytest.raises(ConfigError) as caught:
            History(path)
        assert caught.value.code == "C011"


def test_a_write_that_fails_keeps_nothing_and_says_so(history):
    history._database.execute("PRAGMA query_only = 1")
    with pytest.raises(ConfigError) as caught:
        history.add("p", "d", [population(10)], MOMENT)
    assert caught.value.code == "C011"
    with pytest.raises(ConfigError):
        history.ask("p", "d", "f", "a")
    history._database.execute("PRAGMA query_only = 0")
    assert not history.any("p", "d")
