"""A freeze stops questions that begin and answers that are ready, and stands in the log before no release it stops."""

import threading
from datetime import timedelta

import made_platform
import made_world as made
import pytest
from sqlalchemy import text

from middleplatform.errors import MiddleplatformError
from middleplatform.governance.desk import Desk
from middleplatform.governance.freezes import Freezing
from middleplatform.governance.grants_in_force import GrantsInForce
from middleplatform.model.freeze import Scope
from middleplatform.model.request import Role, Subject
from middleplatform.store.acts import pending
from middleplatform.store.database import Store

SQL = "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex"
HAN, LU = (Subject(login, "db", frozenset({Role.SECURITY_OFFICER})) for login in ("han", "lu"))
FROZEN = ("P007", "F1")
ANSWERED = ("answered", "")


class World:
    """A platform whose gateway has a store with nothing in it."""

    def __init__(self, platform, store, log=True):
        self.platform, self.store, self.first = platform, store, len(platform.entries())
        rng = made_platform.SeededRng(f"acts {id(store)}")
        desk = Desk(store, platform.clock, rng, platform.audit if log else None)
        platform.gateway.grants = GrantsInForce(store, desk.entering)
        self.desk, self.freezing = desk, Freezing(desk, platform.gateway.catalog)

    def freeze(self, scope=Scope.PLATFORM, target="", **said):
        return self.freezing.freeze(HAN, scope, target, "泄露", **said).number

    def lift(self, number):
        self.freezing.unfreeze(HAN, number, "查清")
        self.freezing.unfreeze(LU, number, "查清")

    def outcome(self, sql=SQL, **asked):
        try:
            self.platform.ask(sql, **asked)
        except MiddleplatformError as error:
            return error.code, error.rule
        return ANSWERED

    def store_pending(self):
        with self.store.reading() as connection:
            return pending(connection)

    def events(self):
        return [event for event, _ in self.platform.entries()[self.first :]]


class MeanwhileLink:
    """A department that answers as it would, after something has happened elsewhere."""

    department = "ga"

    def __init__(self, link, happens):
        self.link, self.happens = link, happens

    async def answer(self, raw, signature):
        told = await self.link.answer(raw, signature)
        self.happens()
        return told


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("platform"), made_platform.complete_rows()
    with made_platform.Platform(folder, made.BUNDLE, rows) as platform:
        yield platform


@pytest.fixture
def world(nodes, tmp_path):
    nodes.use_link(nodes.links["ga"])
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield World(nodes, store)


STOPS = [
    (Scope.PLATFORM, ""), (Scope.USER, "li"), (Scope.USER, "LI"), (Scope.DATASET, "ga.person"), (Scope.PROJECT, "drc"),
    (Scope.DEPARTMENT, "drc"), (Scope.DEPARTMENT, "ga"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "target"), STOPS)
def test_each_scope_stops_what_it_names_until_two_people_end_it(world, scope, target):
    number = world.freeze(scope, target)
    assert world.outcome() == FROZEN
    assert world.events()[-2:] == ["received", "refused"]
    explained = world.platform.gateway.explain(world.platform.request(SQL))
    assert (explained.verdict, explained.code) == ("refuse", "P007")
    world.lift(number)
    assert world.outcome() == ANSWERED


@pytest.mark.parametrize(("scope", "target"), STOPS)
def test_an_answer_that_is_ready_when_a_freeze_comes_does_not_leave(world, scope, target):
    world.platform.use_link(
        MeanwhileLink(world.platform.links["ga"], lambda: world.freeze(scope, target))
    )
    assert world.outcome() == FROZEN
    assert world.events() == ["received", "freeze", "refused"]


@pytest.mark.parametrize(("scope", "target"), [
    (Scope.USER, "lin"), (Scope.DATASET, "ga.household"), (Scope.PROJECT, "other"), (Scope.DEPARTMENT, "c1"),
])  # fmt: skip
def test_nothing_else_is_stopped(world, scope, target):
    if scope is Scope.DATASET:
        target = next(
            name for name in world.platform.gateway.catalog.datasets if name != "ga.person"
        )
    world.freeze(scope, target)
    assert world.outcome() == ANSWERED


def test_a_department_that_is_frozen_receives_nothing_either(world):
    world.freeze(Scope.DEPARTMENT, "c1")
    assert world.outcome(recipient="c1") == FROZEN


def test_who_is_frozen_does_not_learn_whether_a_statement_can_be_read(world):
    world.freeze(Scope.USER, "li")
    assert world.outcome("SELEC") == FROZEN
    assert world.outcome("SELECT nothing FROM nowhere") == FROZEN


def test_a_drill_stops_nothing_and_an_end_ends(world):
    world.freeze(drill=True)
    assert world.outcome() == ANSWERED
    world.freeze(ends=world.platform.clock.now() + timedelta(hours=1))
    assert world.outcome() == FROZEN
    world.platform.clock.moment += timedelta(hours=1)
    assert world.outcome() == ANSWERED


def test_a_freeze_stands_after_a_restart(world):
    world.freeze()
    world.platform.gateway.grants = GrantsInForce(world.store)
    assert world.outcome() == FROZEN


def test_a_freeze_of_another_process_stops_before_its_entry_is_in_the_log(world):
    beside = World(world.platform, world.store, log=False)
    done = threading.Thread(target=beside.freeze)
    done.start()
    while world.store_pending() is None:
        pass
    assert world.outcome() == FROZEN
    assert "freeze" not in world.events()
    assert world.desk.finish()
    done.join()
    assert world.events()[-1] == "freeze"
    assert world.outcome() == FROZEN


def test_while_nobody_can_know_what_is_frozen_nothing_is_answered(world):
    with world.store.writing() as connection:
        connection.execute(text("ALTER TABLE freezes RENAME TO gone"))
    assert world.outcome()[0] == "C015"
    assert world.events() == ["received", "failed"]


class Meanwhile(GrantsInForce):
    """Has somebody freeze everything just after the last look at a question."""

    def __init__(self, world):
        super().__init__(world.store, world.desk.entering)
        self.world, self.thread = world, threading.Thread(target=world.freeze)
        self.looks = 0

    def in_force(self, bundle, now):
        found = super().in_force(bundle, now)
        self.looks += 1
        if self.looks == 2:
            self.thread.start()
            while self.world.store_pending() is None:
                pass
        return found


def test_no_release_stands_after_the_entry_of_a_freeze_that_stops_it(world):
    grants = world.platform.gateway.grants = Meanwhile(world)
    assert world.outcome() == ANSWERED
    grants.thread.join()
    assert world.events() == ["received", "released", "freeze"]
    assert world.outcome() == FROZEN
