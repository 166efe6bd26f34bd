"""Who fails too often waits, longer each time; nobody else does."""

from datetime import timedelta

import pytest

from middleplatform.errors import LimitError
from middleplatform.login.configured import Limits
from middleplatform.login.failures import Failures

LIMITS = Limits(
    failures=3, wait=timedelta(seconds=10), wait_max=timedelta(seconds=35), failures_per_minute=60
)


@pytest.fixture
def failures(store, clock):
    return Failures(store, clock, LIMITS)


def waits(failures, login, address):
    """Return the seconds to wait; 0 when the attempt was let through, and failed."""
    try:
        failures.attempt(login, address)
    except LimitError as error:
        return error.parts["seconds"]
    failures.failed()
    return 0


def test_waits_grow_and_have_a_limit(failures, clock):
    found = []
    for _ in range(6):
        while (seconds := waits(failures, "t1", "192.0.2.1")) == 0:
            pass
        found.append(seconds)
        clock.advance(seconds=seconds)
    assert found == [10, 20, 35, 35, 35, 35]


def test_the_attempt_that_makes_wait_says_so(failures):
    assert [failures.attempt("t1", "192.0.2.1").locks for _ in range(3)] == [0, 0, 10]


def test_another_address_with_the_same_login_does_not_wait(failures):
    while waits(failures, "t1", "192.0.2.1") == 0:
        pass
    assert waits(failures, "t1", "192.0.2.2") == 0


def test_another_login_from_the_same_address_does_not_wait_at_first(failures):
    while waits(failures, "t1", "192.0.2.1") == 0:
        pass
    assert waits(failures, "t2", "192.0.2.1") == 0


def test_address_that_tries_many_logins_waits(failures):
    tried = [waits(failures, f"t{each}", "192.0.2.1") for each in range(20)]
    assert tried[:12] == [0] * 12
    assert all(tried[12:])
    assert waits(failures, "t0", "192.0.2.2") == 0


def test_many_at_once_do_not_slip_through(failures):
    """Each counts before any of them is judged."""
    through = 0
    for _ in range(10):
        try:
            failures.attempt("t1", "192.0.2.1")
            through += 1
        except LimitError:
            pass
    assert through == 3


def test_right_attempt_begins_anew(failures):
    for _ in range(4):
        assert waits(failures, "t1", "192.0.2.1") == 0
        assert waits(failures, "t1", "192.0.2.1") == 0
        failures.succeeded(failures.attempt("t1", "192.0.2.1"))


def test_wait_of_an_address_does_not_grow_and_ends_for_all_behind_it(failures, clock):
    for _ in range(3):
        found = [waits(failures, f"t{clock.now()}{each}", "192.0.2.1") for each in range(13)]
        assert found == [0] * 12 + [10]
        clock.advance(seconds=10)


def test_address_whose_people_err_now_and_then_never_waits(failures, clock):
    for each in range(60):
        assert waits(failures, f"t{each}", "192.0.2.1") == 0
        clock.advance(minutes=16)


def test_own_success_does_not_uncount_what_was_tried_on_others(failures):
    tried = []
    for each in range(14):
        tried.append(waits(failures, f"victim{each}", "192.0.2.1"))
        if not tried[-1]:
            try:
                failures.succeeded(failures.attempt("mine", "192.0.2.1"))
            except LimitError as error:
                tried[-1] = error.parts["seconds"]
    assert any(tried)


def test_restart_and_other_gateways_know(failures, store, clock):
    while waits(failures, "t1", "192.0.2.1") == 0:
        pass
    assert waits(Failures(store, clock, LIMITS), "t1", "192.0.2.1") > 0


def test_a_day_later_nothing_is_left(failures, clock):
    while waits(failures, "t1", "192.0.2.1") == 0:
        pass
    clock.advance(hours=25)
    assert failures.attempt("t1", "192.0.2.1").locks == 0


def test_when_everybody_fails_clean_addresses_are_still_heard(failures):
    reached = []
    for each in range(61):
        failures.attempt(f"t{each}", f"198.51.100.{each}")
        reached.append(failures.failed())
    assert reached.count(True) == 1
    with pytest.raises(LimitError) as caught:
        failures.attempt("new", "198.51.100.1")
    assert caught.value.code == "L007"
    assert failures.attempt("new", "203.0.113.1").locks == 0


def test_kept_is_no_login_and_no_address(failures, tmp_path):
    failures.attempt("00ff00ff00ff00ff", "192.0.2.77")
    found = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"192.0.2.77" not in found
    assert b"00ff00ff00ff00ff" not in found
