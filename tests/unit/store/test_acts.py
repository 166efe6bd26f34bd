"""An act that a table could not take is refused before its entry, on every database alike."""

from datetime import UTC, datetime

import pytest

from middleplatform.errors import QueryError
from middleplatform.store.acts import Act, Change, begin, claim, pending, settle
from middleplatform.store.saved import removed

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def question(**said):
    values = {
        "number": 1, "login": "lin", "department": "drc", "name": "a", "sql": "SELECT 1", "purpose": "statistics",
        "project": "", "noise": "", "strict": False, "saved_at": NOW, "removed_at": None, "act": 1,
    }  # fmt: skip
    return Act("saved", {}, (Change("saved_questions", values | said),))


def done(store, act):
    with store.writing() as connection:
        number = begin(connection, act, f"{0:032x}", NOW)
        assert claim(connection, number, "log", 0)
    with store.writing() as connection:
        return settle(connection, number, 0)


@pytest.mark.parametrize("text", ["SELECT 1\0", "SELECT '\ud800'"])
def test_a_text_that_no_table_takes_holds_up_no_later_act(store, text):
    with pytest.raises(QueryError, match="a character that is none"):
        done(store, question(sql=text))
    with store.reading() as connection:
        assert pending(connection) is None
    assert done(store, question())


def test_a_text_longer_than_its_column_is_refused(store):
    act = Act("policy", {}, (Change("policy_files", {"path": "a" * 256}),))
    with pytest.raises(QueryError, match="too long"):
        done(store, act)


def test_moments_and_keys_are_no_texts(store):
    assert done(store, question())
    with store.writing() as connection:
        number = begin(connection, Act("saved", {}, (removed(1, NOW),)), f"{1:032x}", NOW)
        assert claim(connection, number, "log", 1)
        assert settle(connection, number, 1)
