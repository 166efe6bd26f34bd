"""Sets of a node's releases: by holder and size, once each, whole or not at all, over restarts."""

import sqlite3

import pytest

from middleplatform.errors import ConfigError
from middleplatform.ledger.history import History, Population
from middleplatform.ledger.released import BASE, FULL, Block, Holder, Member

MOMENT = "2026-03-01T00:00:00+00:00"
MINE = Holder("p", "d|u", BASE)
UNIVERSE = (b"all", b"planes of all")


def member(name, units=10, rest=90, **changes):
    return Member(name, name.encode(), f"planes {name}".encode(), units, rest, **changes)


def keep(history, *members, holder=MINE, shape="S", universe=UNIVERSE, least=5):
    with history.released.writing():
        history.released.add(Block(holder, shape, universe, least), members, MOMENT)


@pytest.fixture
def history():
    opened = History(None)
    yield opened
    opened.close()


def names(history, found):
    return sorted(history.released.planes(content).decode() for content, _ in found)


def test_sets_are_found_by_size_and_by_what_they_leave(history):
    keep(history, member("a", 10, 90), member("b", 20, 80), member("c", 30, 70, shown=False))
    sets = history.released
    assert names(history, sets.near(MINE, (10, 20))) == ["planes a", "planes b"]
    assert names(history, sets.near(MINE, (11, 40))) == ["planes b"]
    assert names(history, sets.near(MINE, (75, 85), rest=True)) == ["planes b"]
    ((_, universe),) = sets.near(MINE, (90, 90), rest=True)
    assert sets.planes(universe) == b"planes of all"


@pytest.mark.parametrize("other", [Holder("q", "d|u", BASE), Holder("p", "e|u", BASE), Holder("p", "d|u", FULL)])  # fmt: skip
def test_sets_are_kept_by_project_dataset_and_kind(history, other):
    keep(history, member("a"))
    assert history.released.near(other, (0, 100)) == []
    assert not history.released.seen(other, b"a", b"all", 5)


def test_a_set_is_seen_under_the_same_universe_and_no_higher_threshold(history):
    keep(history, member("a"), member("hidden", shown=False))
    sets = history.released
    assert sets.seen(MINE, b"a", b"all", 5)
    assert sets.seen(MINE, b"a", b"all", 3)
    assert not sets.seen(MINE, b"a", b"all", 6)
    assert not sets.seen(MINE, b"a", b"other", 5)
    assert not sets.seen(MINE, b"hidden", b"all", 5)


def test_equal_sets_and_equal_blocks_are_stored_once(history):
    for _ in range(3):
        keep(history, member("a"), member("b"))
    keep(history, member("a"), shape="T")
    count = history._database.execute
    assert count("SELECT COUNT(*) FROM content").fetchone() == (3,)
    assert count("SELECT COUNT(*) FROM block").fetchone() == (2,)
    assert count("SELECT COUNT(*) FROM member").fetchone() == (3,)


def test_withheld_cells_are_parts_of_their_block_only(history):
    keep(history, member("a", 30), member("b", 3, shown=False), member("*", 33))
    ((block, shape, content),) = history.released.withheld(MINE, 5)
    assert (shape, history.released.planes(content)) == ("S", b"planes b")
    assert sorted(shown for _, shown in history.released.cells(block)) == [False, True]
    assert history.released.shown(MINE, "S", 1) == []
    assert len(history.released.shown(MINE, "T", 1)) == 1


def test_what_an_error_ends_is_not_kept(history):
    keep(history, member("a"))
    with pytest.raises(AttributeError):
        keep(history, member("b", 50), None, shape="T")
    keep(history, member("c", 60), shape="U")
    assert names(history, history.released.near(MINE, (0, 100))) == ["planes a", "planes c"]


def test_a_file_that_refuses_the_write_says_so(history):
    keep(history, member("a"))
    history._database.execute("PRAGMA query_only = 1")
    with pytest.raises(ConfigError) as caught:
        keep(history, member("b"), shape="T")
    assert caught.value.code == "C011"
    history._database.execute("PRAGMA query_only = 0")
    assert names(history, history.released.near(MINE, (0, 100))) == ["planes a"]


def test_sets_survive_a_restart(tmp_path):
    first = History(tmp_path / "h.db", sets=True)
    keep(first, member("a"), member("b", counted=True))
    first.close()
    again = History(tmp_path / "h.db", sets=True)
    assert names(again, again.released.near(MINE, (10, 10))) == ["planes a", "planes b"]
    assert len(again.released.counted(MINE)) == 1
    assert again.any("p", "d|u")
    again.close()


def test_a_nodes_file_without_sets_is_refused_and_the_gateways_is_not(tmp_path):
    path = tmp_path / "h.db"
    old = History(path)
    old.add("p", "d|u", [Population("S", "", 10, 10)], MOMENT)
    old.close()
    with pytest.raises(ConfigError) as caught:
        History(path, sets=True)
    assert caught.value.code == "C014"
    History(path).close()


def test_no_thread_sees_half_of_what_is_kept(tmp_path):
    history = History(tmp_path / "h.db", sets=True)
    with history.released.writing():
        history.released.add(Block(MINE, "S", UNIVERSE, 5), [member("a")], MOMENT)
        other = sqlite3.connect(tmp_path / "h.db")
        assert other.execute("SELECT COUNT(*) FROM member").fetchone() == (0,)
    assert other.execute("SELECT COUNT(*) FROM member").fetchone() == (1,)
    other.close()
    history.close()
