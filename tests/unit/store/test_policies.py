"""Does the life of a policy leave the same on both databases, and is what they keep kept?"""

import threading
from datetime import UTC, datetime

import pytest
from policy_world import HAN, LU, TAX, files, world

from middleplatform.errors import MiddleplatformError, QueryError
from middleplatform.store import acts, policies
from middleplatform.store.acts import Act, Change

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def some(number=1):
    """Return an act that keeps nothing but itself."""
    return Act("policy", {"number": number}, ())


def test_a_whole_life_reads_the_same_from_either_database(tmp_path, store_url):
    with world(tmp_path, store_url) as made:
        life, number = made.life, made.loosened()
        life.approve(LU, number, "看过")
        life.approve(TAX, number, "同意")
        assert life.publish(HAN, number) == 2
        waiting, version = life.roll_back(LU, 1, "back")
        first, second, _ = life.versions()
        assert (waiting, version) == (3, 3)
    with world(tmp_path, store_url) as again:
        kept = again.life.versions()
        assert kept[:2] == (first, second)
        assert [(each.number, each.predecessor, each.restores) for each in kept] == [(1, 0, 0), (2, 1, 0), (3, 2, 1)]  # fmt: skip
        assert (second.at, second.at.tzinfo, second.kind) == (NOW, UTC, "publish")
        assert [each.comment for each in again.life.weigh(number).approvals] == ["看过", "同意"]
        assert again.life.files(2) == files(tax=10, label="2")
        assert again.life.standing().number == 3


def test_of_two_that_publish_at_once_one_succeeds(tmp_path, store_url):
    with world(tmp_path, store_url) as made:
        life = made.life
        numbers = [life.propose(HAN, files(ga=30, note=f"# {n}\n"), "stricter") for n in range(3)]
        ended, barrier = [], threading.Barrier(3)

        def publish(number):
            barrier.wait()
            try:
                ended.append(life.publish(HAN, number))
            except MiddleplatformError as error:
                ended.append(error.code)

        threads = [threading.Thread(target=publish, args=(number,)) for number in numbers]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(map(str, ended)) == ["1", "Q042", "Q042"]
        assert len(life.versions()) == 1


def test_one_act_waits_at_a_time_and_counts_once(store):
    with store.writing() as connection:
        number = acts.begin(connection, some(), "a" * 32, NOW)
    with pytest.raises(QueryError) as refused, store.writing() as connection:
        acts.begin(connection, some(), "b" * 32, NOW)
    assert refused.value.code == "Q042"
    with store.writing() as connection:
        assert acts.claim(connection, number, "log", 5)
        assert not acts.claim(connection, number, "other", 5)
        assert acts.settle(connection, number, 7)
        assert not acts.settle(connection, number, 8)
        assert acts.act_index(connection, number) == 7
        assert acts.pending(connection) is None
        acts.undo(connection, number)  # too late: it counts
        assert acts.act_index(connection, number) == 7


def test_what_an_act_changes_is_not_there_before_its_entry(store):
    with store.writing() as connection:
        row = {"digest": "0" * 64, "kept_at": NOW}
        act = Act("policy", {}, (Change("policy_contents", row),))
        number = acts.begin(connection, act, "a" * 32, NOW)
    for index in (None, 0):
        with store.writing() as connection:
            if index is not None:
                acts.settle(connection, number, index)
            kept = connection.execute(policies.policy_contents.select()).all()
            assert [tuple(each) for each in kept] == [("0" * 64, NOW)] * (index is not None)


def test_an_act_that_was_taken_back_is_gone(store):
    with store.writing() as connection:
        number = acts.begin(connection, some(), "a" * 32, NOW)
        acts.undo(connection, number)
    with pytest.raises(QueryError) as refused, store.reading() as connection:
        acts.act_index(connection, number)
    assert refused.value.code == "Q041"


def test_a_content_is_named_by_every_byte_of_it():
    names = {
        policies.content_digest(each)
        for each in ({"a.yaml": "x"}, {"a.yaml": "x\n"}, {"b.yaml": "x"}, {"a.yaml": "x", "b.yaml": ""})
    }  # fmt: skip
    assert len(names) == 4
    assert policies.content_digest({"a.yaml": "x", "b.yaml": "y"}) == policies.content_digest({"b.yaml": "y", "a.yaml": "x"})  # fmt: skip


def test_what_is_not_there_is_told(store):
    with store.reading() as connection:
        for look in (policies.proposal, policies.version, policies.files_of):
            with pytest.raises(QueryError) as refused:
                look(connection, "0" * 64 if look is policies.files_of else 1)
            assert refused.value.code == "Q041"
