"""Leases: one holder at a time, by the database's clock, under numbers that only grow; and questions left behind."""

import threading

from sqlalchemy import update

from middleplatform.store import jobs, leases
from middleplatform.store.jobs import KeptJob
from middleplatform.store.leases import expired, held, hold, lose, release, renew, take


def expire(store, lease):
    """Let a lease have expired, as time would."""
    with store.writing() as connection:
        connection.execute(
            update(leases.leases).where(leases.leases.c.name == lease.name).values(expires_ms=1)
        )


def taken(store, name, holder="a", seconds=60.0):
    with store.writing() as connection:
        return take(connection, name, holder, seconds)


def test_a_lease_has_one_holder_until_it_expires_and_its_number_only_grows(kept):
    first = taken(kept, "gateway/1")
    assert taken(kept, "gateway/1", "b") is None
    other = taken(kept, "gateway/2")
    expire(kept, first)
    second = taken(kept, "gateway/1", "b")
    assert first.fence < other.fence < second.fence
    with kept.writing() as connection:
        assert not hold(connection, first)
        assert not renew(connection, first, 60.0)
        assert hold(connection, second)
        release(connection, first)  # it is no longer his to give back
        assert hold(connection, second)
        release(connection, second)
        assert not hold(connection, second)
    third = taken(kept, "gateway/1")
    assert third.fence > second.fence


def test_an_expired_lease_is_its_holders_until_somebody_takes_it(kept):
    lease = taken(kept, "gateway/1")
    taken(kept, "command/1")
    expire(kept, lease)
    with kept.reading() as connection:
        assert expired(connection, "gateway/") == [lease]
        assert expired(connection, "gateway/", since_s=10**12) == []
        assert [each.name for each in held(connection, "command/")] == ["command/1"]
    with kept.writing() as connection:
        assert renew(connection, lease, 60.0)
        assert not lose(connection, lease)
    expire(kept, lease)
    with kept.writing() as connection:
        assert lose(connection, lease)
        assert not lose(connection, lease)
        assert not renew(connection, lease, 60.0)


def test_a_lease_is_lost_before_what_its_holder_does_under_it_or_after(kept):
    """Whoever takes it waits for the transaction in which the holder found it to be its own."""
    lease = taken(kept, "gateway/1")
    expire(kept, lease)
    order, begun = [], threading.Event()

    def losing():
        begun.set()
        with kept.writing() as connection:
            assert lose(connection, lease)
        order.append("lost")

    other = threading.Thread(target=losing)
    with kept.apart() as connection:
        assert hold(connection, lease)
        other.start()
        begun.wait()
        other.join(0.2)  # long enough to have lost it, if it did not wait
        order.append("entered")
    other.join()
    assert order == ["entered", "lost"]
    with kept.apart() as connection:
        assert not hold(connection, lease)


def job(number, gateway):
    return KeptJob(
        f"q{number}", "lin", "drc", {"purpose": "statistics"}, gateway, number, "running"
    )


def test_a_question_is_ended_by_the_gateway_that_has_it_and_by_no_other(kept):
    for name in ("gateway/1", "gateway/2"):
        taken(kept, name)
    with kept.writing() as connection:
        jobs.begin(connection, job(1, "gateway/1"))
        jobs.begin(connection, job(2, "gateway/2"))
        assert not jobs.orphans(connection)
        assert not jobs.end(connection, "q1", "gateway/2", "failed")
        assert jobs.end(connection, "q1", "gateway/1", "answered", None, "{}", b"stream")
        assert not jobs.end(connection, "q1", "gateway/1", "failed", {"code": "L006"})
        found = jobs.find(connection, "q1")
        assert (found.state, found.answer, found.stream, found.error) == (
            "answered",
            "{}",
            b"stream",
            None,
        )
        assert jobs.find(connection, "q3") is None
        assert jobs.forget(connection, 60.0) == 0
        assert jobs.forget(connection, -60.0) == 1
        assert jobs.find(connection, "q1") is None
        assert jobs.find(connection, "q2").request == {"purpose": "statistics"}


def test_questions_without_a_gateway_go_to_one_other_and_on_from_there(kept):
    dead, alive = taken(kept, "gateway/1"), taken(kept, "gateway/2")
    with kept.writing() as connection:
        for number in (1, 2, 3):
            jobs.begin(connection, job(number, dead.name))
        jobs.end(connection, "q2", dead.name, "answered", None, "{}")
        release(connection, dead)
        assert jobs.orphans(connection)
        assert jobs.adopt(connection, alive.name) == 2
        assert jobs.adopt(connection, alive.name) == 0
        assert [each.id for each in jobs.left_behind(connection, alive.name)] == ["q1", "q3"]
        assert not jobs.end(connection, "q1", dead.name, "answered", None, "{}")
        assert jobs.end(connection, "q1", alive.name, "failed", {"code": "L006"})
        release(connection, alive)
        third = take(connection, "gateway/3", "c", 60.0)
        assert jobs.adopt(connection, third.name) == 1
        assert [each.id for each in jobs.left_behind(connection, third.name)] == ["q3"]
