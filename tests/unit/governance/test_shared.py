"""Processes on one store: a place that is lost is lost for good, and what was begun under it another ends, once."""

import asyncio
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from doors import CountingRng, HandClock
from node_world import until
from postgres_server import ADMIN
from shared_gateways import LIN, FreshRng, entry, finish, lost, request, stop

from middleplatform.audit.checkpoint import parse_checkpoint
from middleplatform.audit.opened import open_log as open_file
from middleplatform.cli.context import Context, consoles
from middleplatform.cli.logs import open_log as open_commands_log
from middleplatform.errors import (
    AuditError,
    ConfigError,
    LimitError,
    PolicyError,
    QueryError,
    SourceError,
)
from middleplatform.governance import entering
from middleplatform.governance.desk import Desk
from middleplatform.governance.entering import SharedEntering
from middleplatform.governance.kept import error_form, error_from
from middleplatform.governance.shared import agree, open_log, open_tokens, read_log
from middleplatform.model.decision import Reason, Span
from middleplatform.model.request import Subject
from middleplatform.store import leases
from middleplatform.store.acts import Act, claim, hand_over, pending
from middleplatform.store.database import Store


class GoneError(Exception):
    """Ends a process at this point."""


def ends(log):
    return [
        (each.record.event, each.record.body["query_id"], each.record.body.get("code"))
        for each in log.entries()
        if each.record.event != "received"
    ]


def test_who_does_not_renew_loses_his_place_for_good_and_enters_nothing_more(join):
    one, two = join(), join()
    one.log.append(entry("received", "a"))
    stop(one)
    lost(one, two)
    with pytest.raises(AuditError) as caught:
        one.log.append(entry("released", "a"))
    assert caught.value.code == "A005"
    two.log.append(entry("received", "b"))
    assert two.log.verify() == 2
    third = join()
    assert third.member.lease.fence > two.member.lease.fence > one.member.lease.fence


def test_a_process_that_finds_its_place_lost_is_told_once(join):
    one, two = join(), join()
    told = []
    one.member.serve(lambda: None, lambda: told.append(1))
    with two.member.store.writing() as connection:
        leases.release(connection, one.member.lease)
    assert one.member.lost.wait(30)
    one.member.stop()
    assert told == [1]


def test_one_that_renews_late_keeps_its_place_if_nobody_took_it(join):
    one = join()
    stop(one)
    one.member._renew()
    assert not one.member.lost.is_set()
    one.log.append(entry("received", "a"))


def test_nobody_loses_his_place_to_one_who_could_not_renew_his_own(join):
    one, two = join(), join()
    stop(one)
    stop(two)
    for _ in range(3):
        two.member._look()
    with two.member.store.apart() as connection:
        assert leases.hold(connection, one.member.lease)
    two.member._renew()
    two.member._look()
    with two.member.store.apart() as connection:
        assert not leases.hold(connection, one.member.lease)


def test_a_closed_process_has_no_place(join):
    one, two = join(), join()
    one.log.close()
    with two.member.store.apart() as connection:
        assert not leases.hold(connection, one.member.lease)


def test_questions_of_a_gateway_that_is_gone_end_in_one_code_and_one_entry_each(join):
    one, two, three = join(), join(), join()
    for number in (1, 2, 3, 4):
        one.kept.begin(request(number))
    ids = [f"{number:032x}" for number in range(5)]
    one.log.append(entry("received", ids[1]))
    one.log.append(entry("received", ids[2]))
    one.log.append(entry("released", ids[2]))  # entered, and then it was gone
    one.log.append(entry("received", ids[3]))
    one.log.append(entry("released", ids[3]))
    assert one.kept.end(ids[3], "answered", None, "{}", b"")
    stop(one)
    lost(one, two)
    assert sorted((finish(two), finish(three), finish(two))) == [0, 0, 3]
    assert ends(two.log) == [
        ("released", ids[2], None), ("released", ids[3], None),
        ("failed", ids[1], "L006"), ("failed", ids[4], "L006"),
    ]  # fmt: skip
    states = {number: three.kept.find(ids[number], LIN) for number in (1, 2, 3, 4)}
    assert [each.state for each in states.values()] == ["failed", "failed", "answered", "failed"]
    assert error_from(states[2].error).code == "L006"
    assert not one.kept.end(ids[1], "answered", None, "{}", b"")
    with pytest.raises(AuditError) as caught:
        one.kept.begin(request(5))
    assert caught.value.code == "A005"
    assert three.kept.find(ids[1], Subject("wang", "drc", frozenset(), ())) is None


def test_who_dies_while_ending_anothers_questions_leaves_the_rest_to_the_next(join):
    one, two, three = join(), join(), join()
    for number in (1, 2):
        one.kept.begin(request(number))
    stop(one)
    lost(one, two)
    left = two.member.adopted()
    assert len(left) == 2
    two.log.append(entry("failed", left[0].id, code="L006"))  # entered, and not yet kept
    stop(two)
    lost(two, three)
    assert finish(three) == 2
    assert sorted(ends(three.log)) == sorted(("failed", each.id, "L006") for each in left)


def test_an_act_that_a_dead_process_had_taken_on_is_finished_by_another_once(join):
    one, two = join(), join()

    def dies(_record):
        raise GoneError

    desk = Desk(one.member.store, HandClock(), FreshRng(), one.log)
    append, one.log.append = one.log.append, dies
    with pytest.raises(GoneError):
        desk.perform(lambda _connection, _number: Act("policy", {"action": "x"}, ()))
    other = Desk(two.member.store, HandClock(), FreshRng(), two.log)
    assert other.finish() is False  # it may still be at it
    stop(one)
    lost(one, two)
    assert other.finish() is True
    with pytest.raises(AuditError) as caught:
        append(entry("policy", "late"))
    assert caught.value.code == "A005"
    with two.member.store.reading() as connection:
        assert pending(connection) is None
    assert [each.record.body["action"] for each in two.log.entries()] == ["x"]


def no_act(desk):
    with desk.store.reading() as connection:
        return pending(connection) is None


def test_an_act_whose_process_ended_in_order_before_it_was_in_force_is_finished_by_the_next(join):
    """The store failed after the entry, say, and then the process was stopped: its lease is given back."""
    one, two = join(), join()
    desk = Desk(one.member.store, HandClock(), FreshRng(), one.log)
    append = one.log.append

    def dies(record):
        append(record)
        raise GoneError

    one.log.append = dies
    with pytest.raises(GoneError):
        desk.perform(lambda _connection, _number: Act("policy", {"action": "x"}, ()))
    one.log.close()
    other = Desk(two.member.store, HandClock(), FreshRng(), two.log)
    until(lambda: other.finish() or no_act(other), "the act to be finished")
    assert other.perform(lambda _connection, _number: Act("policy", {"action": "y"}, ())) == 2
    assert [each.record.body["action"] for each in two.log.entries()] == ["x", "y"]


def test_an_act_that_was_taken_on_under_a_lost_lease_is_finished_by_another_once(join):
    one, two = join(), join()
    stop(one)
    lost(one, two)
    desk = Desk(one.member.store, HandClock(), FreshRng(), one.log)
    with pytest.raises(AuditError) as caught:
        desk.perform(lambda _connection, _number: Act("policy", {"action": "x"}, ()))
    assert caught.value.code == "A005"
    other = Desk(two.member.store, HandClock(), FreshRng(), two.log)
    until(lambda: other.finish() or no_act(other), "the act to be finished")
    assert [each.record.body["action"] for each in two.log.entries()] == ["x"]


@pytest.mark.parametrize(
    "claimed",
    [
        "{origin}#archive", "{origin}#gateway/7", "other.example/audit", "{origin}", "x#{own}",
        "{origin}#archive#{name}", "{origin}/{own}",
    ],
)  # fmt: skip
def test_an_act_that_another_log_has_taken_on_is_nobodys_here(join, settings, claimed):
    """It may stand in that log: entered here, it would be twice."""
    one = join()
    one.member.stop()
    other = Desk(one.member.store, HandClock(), FreshRng(), None)
    number, _ = other._begin(lambda _connection, _number: Act("policy", {"action": "x"}, ()))
    own = f"{settings.origin}#gateway/{0:016x}"
    log = claimed.format(origin=settings.origin, own=own, name=f"gateway/{0:016x}")
    with one.member.store.writing() as connection:
        assert claim(connection, number, log, 0)
    two = join()  # looks at a start, too
    two.member._adopt_act()
    assert Desk(two.member.store, HandClock(), FreshRng(), two.log).finish() is False
    with one.member.store.reading() as connection:
        assert pending(connection).log == log
    assert list(two.log.entries()) == []
    with one.member.store.writing() as connection:  # of one of these gateways, it is taken over
        hand_over(connection, log, own)
    two.member._adopt_act()
    assert Desk(two.member.store, HandClock(), FreshRng(), two.log).finish() is True


def test_an_act_in_a_gateways_own_file_is_finished_where_the_file_is(settings, join):
    with (
        open_file(replace(settings, store=""), HandClock(), FreshRng()) as file,
        Store.open(settings.store) as store,
    ):
        desk = Desk(store, HandClock(), FreshRng(), file)
        number, act_id = desk._begin(
            lambda _connection, _number: Act("policy", {"action": "x"}, ())
        )
        with store.writing() as connection:
            assert claim(connection, number, file.claimant, file.size)
        file.append(entry("policy", "-", action="x", act=act_id))
    one = join()
    with one.member.store.reading() as connection:
        assert pending(connection).log == one.log.claimant
    assert Desk(one.member.store, HandClock(), FreshRng(), one.log).finish() is True
    assert [each.record.body["action"] for each in one.log.entries()] == ["x"]


def test_a_key_of_another_origin_is_not_this_logs(settings, join):
    join()
    with pytest.raises(ConfigError) as caught:
        open_log(replace(settings, origin="other.example/audit"), HandClock(), FreshRng())
    assert caught.value.code == "C006"


def test_an_act_that_another_gateway_takes_on_first_is_waited_for(join):
    one, two = join(), join()
    desk = Desk(one.member.store, HandClock(), FreshRng(), one.log)
    other = Desk(two.member.store, HandClock(), FreshRng(), two.log)
    append, begin, in_force = two.log.append, desk._begin, desk._in_force
    at_it, looked, taking = Event(), Event(), Thread(target=other.finish)

    def slow(record):
        at_it.set()
        assert looked.wait(30)
        return append(record)

    def begun(decide):
        number = begin(decide)
        taking.start()
        assert at_it.wait(30)
        return number

    def seen(*which):
        found = in_force(*which)
        looked.set()
        return found

    two.log.append, desk._in_force = slow, seen
    desk._begin = begun
    assert desk.perform(lambda _connection, _number: Act("policy", {"action": "x"}, ())) == 1
    taking.join()
    assert [each.record.body["action"] for each in two.log.entries()] == ["x"]


def test_acts_and_releases_are_in_one_order_for_all(join):
    """A release that was looked at before an act is in the log before it."""
    one, two = join(), join()
    release = SharedEntering(one.member.store, one.log, alone=False)
    beside = SharedEntering(two.member.store, two.log, alone=False)
    act = SharedEntering(two.member.store, two.log, alone=True)

    async def both():
        with release, beside:
            entered = asyncio.create_task(asyncio.to_thread(enter))
            await asyncio.sleep(0.2)  # long enough to have entered it, if it did not wait
            one.log.submit(entry("released", "a"))
        await entered

    def enter():
        with act:
            two.log.append(entry("policy", "b"))

    asyncio.run(both())
    assert [each.record.event for each in two.log.entries()] == ["released", "policy"]


def cut_off(server, process):
    """Let the server end whoever holds the lock around entries, as it does after 15 seconds of silence."""
    name = process.member.store.engine.url.database
    server.run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
        f" WHERE locktype = 'advisory' AND objid = {entering._KEY}",
        database=name, user=ADMIN,
    )  # fmt: skip


def test_a_release_whose_lock_was_lost_is_not_entered_after_the_act(join, server):
    one, two = join(), join()
    release = SharedEntering(one.member.store, one.log, alone=False)
    act = SharedEntering(two.member.store, two.log, alone=True)
    with release:  # the last look was good
        cut_off(server, one)
        with act:
            two.log.append(entry("freeze", "b"))
        late = one.log.submit(entry("released", "a"))
    with pytest.raises(AuditError) as caught:
        late.result()
    assert caught.value.code == "A001"
    one.log.append(entry("received", "c"))
    with release:
        one.log.append(entry("released", "c"))
    assert [each.record.event for each in two.log.entries()] == ["freeze", "received", "released"]


def test_an_act_whose_lock_was_lost_is_not_entered_and_does_not_count(join, server):
    one, two = join(), join()
    desk = Desk(one.member.store, HandClock(), FreshRng(), one.log)
    desk.entering = SharedEntering(one.member.store, one.log, alone=True)
    append = one.log.append

    def late(record):
        cut_off(server, one)
        return append(record)

    one.log.append = late
    with pytest.raises(AuditError) as caught:
        desk.perform(lambda _connection, _number: Act("policy", {"action": "x"}, ()))
    assert caught.value.code == "A001"
    one.log.append = append
    assert desk.perform(lambda _connection, _number: Act("policy", {"action": "y"}, ())) == 1
    assert [each.record.body["action"] for each in two.log.entries()] == ["y"]


def test_entries_beside_one_whose_lock_was_lost_are_entered(join, server):
    """They may be of one group: each is told its own."""
    one = join()
    release = SharedEntering(one.member.store, one.log, alone=False)
    blocked, go = Event(), Event()
    commit = one.log._writer._commit

    def slow(jobs):
        blocked.set()
        assert go.wait(30)
        return commit(jobs)

    one.log._writer._commit = slow
    first = one.log.submit(entry("received", "a"))
    assert blocked.wait(30)

    def lose():
        with release:
            cut_off(server, one)
            futures.append(one.log.submit(entry("released", "b")))
            queued.set()

    futures, queued = [], Event()
    losing = Thread(target=lose)
    losing.start()
    assert queued.wait(30)
    last = one.log.submit(entry("received", "c"))
    go.set()
    losing.join()
    assert (first.result().index, last.result().index) == (0, 1)
    with pytest.raises(AuditError) as caught:
        futures[0].result()
    assert caught.value.code == "A001"
    assert one.log.verify() == 2


def test_one_catalogue_for_all_who_serve(join):
    old, new = SimpleNamespace(digest="1" * 64), SimpleNamespace(digest="2" * 64)
    one = join()
    assert agree(one.member, old, {"a.yaml": "a"}, HandClock()) == 1
    two = join()
    assert agree(two.member, old, {"a.yaml": "a"}, HandClock()) == 1
    with pytest.raises(ConfigError) as caught:
        agree(two.member, new, {}, HandClock())
    assert caught.value.code == "C002"
    one.log.close()
    assert agree(two.member, new, {}, HandClock()) == 2


def test_a_gateway_without_the_logs_key_does_not_start(join, settings, tmp_path):
    join()
    with pytest.raises(ConfigError) as caught:
        open_log(replace(settings, state=tmp_path / "other"), HandClock(), FreshRng())
    assert caught.value.code == "C006"


def test_a_gateways_own_log_is_the_beginning_of_the_shared_one(settings, join):
    with open_file(replace(settings, store=""), HandClock(), FreshRng()) as file:
        file.append(entry("received", "a"))
        before = parse_checkpoint(file.checkpoint())
    one = join()
    assert one.log.verify(before.text()) == 1
    with read_log(settings, one.log.keys, HandClock()) as reader:
        assert reader.entry(0).record == entry("received", "a")


def test_reading_a_log_that_nobody_has_begun_is_told(settings):
    with pytest.raises(QueryError) as caught:
        read_log(settings, (), HandClock())
    assert caught.value.code == "Q041"


def test_commands_read_the_log_where_it_is(settings, join):
    context = Context("en", *consoles())
    context._settings = settings
    one = join()
    one.log.append(entry("received", "a"))
    with open_commands_log(context, Namespace()) as log:
        assert [each.record for each in log.entries()] == [entry("received", "a")]
        one.log.append(entry("received", "b"))
        assert log.verify(one.log.checkpoint_at(1)) == 1
    (settings.state / "public").write_text(one.log.keys[0].text() + "\n")
    with open_commands_log(context, Namespace(log_key=settings.state / "public")) as log:
        assert log.size == 2


def test_tokens_are_where_the_log_is(settings, join):
    join()
    with open_tokens(settings, HandClock(), CountingRng()) as tokens:
        token, _ = tokens.add(LIN, timedelta(days=1))
    with open_tokens(settings, HandClock(), CountingRng()) as again:
        assert again.authenticate(token) == LIN
    assert not (settings.state / "tokens.sqlite").exists()


# --- what is kept of an error -----------------------------------------------------------------------------------------

REASON = Reason(
    "R3", ("too fine", "过细"), "ga.population.age", "ga", "7", Span(1, 4, 1, 2), ("a", "b")
)


@pytest.mark.parametrize(
    "error",
    [
        LimitError("L006"), LimitError("L002", limit=10), QueryError("Q040", what=("x", "某")),
        SourceError("S002", department="ga"), PolicyError("P001", what=("x", "y"), rule="R3"),
    ],
)  # fmt: skip
def test_an_error_that_was_kept_says_what_it_said(error):
    error.reasons, error.audit_index = (REASON,), 7
    again = error_from(error_form(error))
    assert type(again) is type(error)
    assert [again.message(each) for each in ("en", "zh")] == [
        error.message(each) for each in ("en", "zh")
    ]
    assert (again.reasons, again.audit_index, again.rule) == (error.reasons, 7, error.rule)
