"""Applications on both databases: nothing counts before its entry, and of two who act at once one acts on the other's result."""

import threading

import pytest
from sqlalchemy import delete, func, insert, select, update
from steady import FixedClock, SeededRng

from middleplatform import catalog as catalogs
from middleplatform import policy
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.errors import AuditError, ConfigError, QueryError
from middleplatform.governance import acts as doing
from middleplatform.governance import stopping
from middleplatform.governance.applications import Answer, Phase
from middleplatform.governance.desk import Desk
from middleplatform.governance.grants_in_force import GrantsInForce
from middleplatform.governance.handling import Handling
from middleplatform.governance.terms import Rules
from middleplatform.policy import regulation
from middleplatform.policy.examples import example
from middleplatform.policy.suite import personas
from middleplatform.store.acts import acts, undo
from middleplatform.store.applications import application_events, events_after
from middleplatform.store.folded import Folded

PEOPLE = personas(example("demo") / "personas.yaml")
HEAD, BUREAU, SS = PEOPLE["steward_drc"], PEOPLE["bureau"], PEOPLE["steward_ss"]
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "planning", "operations": ["aggregate"],
    "columns": ["ss.insurance.contribution_base"], "ends": "2027-06-30",
}  # fmt: skip


EMBEDDED = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""Of what no database has a part in."""


@pytest.fixture(scope="module")
def bundle():
    return policy.load(example("demo"), catalogs.load(example("demo") / "catalog"))


@pytest.fixture
def log(tmp_path):
    signer = CheckpointSigner.create(tmp_path / "log.key", "audit.example/made", SeededRng(b"log"))
    with AuditLog.open(tmp_path / "audit.db", signer, FixedClock()) as opened:
        yield opened


@pytest.fixture
def handling(store, log, bundle):
    return Handling(Desk(store, FixedClock(), SeededRng(), log), bundle, Rules(regulation.load()))


def answered(handling):
    state = handling.apply(WISH, HEAD)
    handling.act(1, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    return handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))


def whole(state):
    wanted = state.application
    return Answer(state.parts["ss"].columns, wanted.operations, wanted.regions, wanted.ends)


def test_what_is_read_back_is_what_was_done_and_each_act_has_its_entry(handling, store, log):
    state = answered(handling)
    assert handling.show(1, SS) == state
    assert handling.listed(PEOPLE["auditor"]) == (state,)
    assert handling.listed(PEOPLE["visitor"]) == ()
    with store.reading() as connection:
        kept = [each for _, each in events_after(connection, 0)]
    assert [each.sequence for each in kept] == [1, 2, 3, 4]
    logged = [each for entry in log.entries() for each in entry.record.body["events"]]
    assert [each.body for each in kept] == logged
    assert {entry.record.event for entry in log.entries()} == {"grant"}


@EMBEDDED
def test_who_may_not_see_an_application_hears_of_none(handling):
    answered(handling)
    for number, who in ((1, PEOPLE["visitor"]), (2, BUREAU)):
        with pytest.raises(QueryError) as caught:
            handling.show(number, who)
        assert caught.value.code == "Q041"


@EMBEDDED
def test_what_is_refused_leaves_nothing(handling, store, log):
    state = handling.apply(WISH, HEAD)
    before = log.size
    with pytest.raises(QueryError):
        handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))
    assert log.size == before
    with store.reading() as connection:
        assert len(events_after(connection, 0)) == 2
        assert len(connection.execute(select(acts.c.number)).all()) == 1


def test_an_event_can_neither_be_put_in_anothers_place_nor_lose_its_act(handling, store):
    answered(handling)
    row = {"number": 1, "sequence": 2, "body": {}, "act": 1}
    with pytest.raises(ConfigError), store.writing() as connection:
        connection.execute(insert(application_events).values(**row))
    with pytest.raises(ConfigError), store.writing() as connection:
        connection.execute(delete(acts))


def test_of_many_who_answer_at_once_one_does(handling):
    state = handling.apply(WISH, HEAD)
    handling.act(1, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    came = []

    def answer():
        try:
            handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))
            came.append("answered")
        except QueryError as error:
            came.append(error.code)

    threads = [threading.Thread(target=answer) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(came) == ["Q040", "Q040", "Q040", "answered"]
    assert handling.show(1, SS).parts["ss"].answers == 1


class DyingLog:
    """A log whose process dies: before the entry is made, or just after it."""

    def __init__(self, log, *, entered):
        self.log, self.entered = log, entered

    def __getattr__(self, name):
        return getattr(self.log, name)

    def append(self, record):
        if self.entered:
            self.log.append(record)
        raise KeyboardInterrupt


@pytest.mark.parametrize("entered", [False, True])
def test_a_grant_counts_when_its_entry_stands_and_the_next_start_finishes_it_once(
    entered, handling, store, log
):
    grants = GrantsInForce(store)
    state = handling.apply(WISH, HEAD)
    handling.act(1, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    handling.desk.log = DyingLog(log, entered=entered)
    with pytest.raises(KeyboardInterrupt):
        handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))
    assert grants.current() == ()
    assert handling.show(1, SS).phase(FixedClock().now()) is Phase.ANSWERING
    again = Desk(store, FixedClock(), SeededRng(b"next"), log)
    assert again.finish()
    assert [each.grant.id for each in grants.current()] == ["GX1/ss"]
    assert log.size == 3
    assert not again.finish()


def test_what_stops_does_not_wait_for_its_entry(handling, store, log):
    grants = GrantsInForce(store)
    answered(handling)
    assert grants.current()
    handling.desk.log = DyingLog(log, entered=False)
    with pytest.raises(KeyboardInterrupt):
        handling.act(1, BUREAU, lambda s, now: stopping.suspend(s, "核查", BUREAU, now))
    assert grants.current() == ()
    assert Desk(store, FixedClock(), SeededRng(b"next"), log).finish()
    assert grants.current() == ()


@EMBEDDED
def test_an_act_that_is_taken_back_does_not_hide_the_next_one_of_its_number(handling, store, log):
    grants = GrantsInForce(store)
    answered(handling)
    handling.desk.log = DyingLog(log, entered=False)

    def begun(act, who):
        with pytest.raises(KeyboardInterrupt):
            handling.act(1, who, act)
        with store.writing() as connection:
            connection.execute(update(acts).where(acts.c.audit_index.is_(None)).values(log=None))
        return len(grants.current())

    def taken_back():
        with store.writing() as connection:
            undo(connection, 4)

    assert begun(lambda s, now: doing.deliver(s, SS, now), SS) == 1
    taken_back()
    assert begun(lambda s, now: stopping.suspend(s, "核查", BUREAU, now), BUREAU) == 0
    taken_back()
    assert len(grants.current()) == 1


@EMBEDDED
def test_a_log_that_is_full_grants_nothing(handling, store, log):
    class Full(DyingLog):
        def append(self, _):
            raise AuditError("A001")

    state = handling.apply(WISH, HEAD)
    handling.act(1, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    handling.desk.log = Full(log, entered=False)
    with pytest.raises(AuditError):
        handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))
    assert GrantsInForce(store).current() == ()
    handling.desk.log = log
    assert (
        handling.act(1, SS, lambda s, now: doing.answer(s, whole(state), SS, now))
        .parts["ss"]
        .answer
    )


def test_what_was_folded_is_not_folded_again_unless_the_store_is_set_back(handling, store):
    folded, read = [], []

    def after(connection, act):
        found = events_after(connection, act)
        read.append(len(found))
        return found

    def fold(number, events):
        folded.append(number)
        return number, tuple(each.sequence for each in events)

    kept = Folded(after, fold)

    def looked():
        folded.clear()
        read.clear()
        with store.reading() as connection:
            return kept.all(connection), sorted(folded), read[0]

    assert looked() == ((), [], 0)
    answered(handling)
    handling.apply(WISH, HEAD)
    assert looked() == (((1, (1, 2, 3, 4)), (2, (1, 2))), [1, 2], 6)
    assert looked() == (((1, (1, 2, 3, 4)), (2, (1, 2))), [], 0)
    handling.act(2, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    assert looked() == (((1, (1, 2, 3, 4)), (2, (1, 2, 3))), [2], 1)
    with store.writing() as connection:  # as a copy of before has it
        (last,) = connection.execute(select(func.max(acts.c.number))).scalars()
        connection.execute(delete(application_events).where(application_events.c.act == last))
        connection.execute(delete(acts).where(acts.c.number == last))
    assert looked() == (((1, (1, 2, 3, 4)), (2, (1, 2))), [1, 2], 6)
    handling.act(2, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    assert looked() == (((1, (1, 2, 3, 4)), (2, (1, 2, 3))), [2], 1)
    with store.writing() as connection:
        connection.execute(update(acts).where(acts.c.number == last).values(id="f" * 32))
    assert looked()[1] == [1, 2]


@EMBEDDED
def test_a_list_is_what_its_applications_are_one_by_one(handling):
    for number in (1, 2, 3):
        handling.apply(WISH, HEAD)
        found = handling.listed(BUREAU)
        assert found == tuple(handling.show(each, BUREAU) for each in range(1, number + 1))
    handling.act(2, BUREAU, lambda s, now: doing.accept(s, BUREAU, now))
    assert handling.listed(BUREAU)[1] == handling.show(2, BUREAU)
