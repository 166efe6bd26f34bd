"""Who may stop what, and which two people end it; told by tables and by a book of its own over random acts."""

import random
import tempfile
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_world import (
    ANALYST,
    AUDITOR,
    BOTH,
    GA,
    HAN,
    LU,
    QIAO,
    TAX,
    person,
    small_catalog,
    world,
)  # fmt: skip
from strategies import examples

from middleplatform.errors import MiddleplatformError
from middleplatform.governance.freezes import BY_RULE, Freezing, may_end, may_freeze
from middleplatform.model.freeze import Freeze, Scope
from middleplatform.model.request import Role

BUREAU = person("bureau", "db", Role.DATA_BUREAU)
ADMIN = person("admin", "db", Role.SYSTEM_ADMINISTRATOR)
PEOPLE = (HAN, LU, QIAO, GA, TAX, BUREAU, ADMIN, ANALYST, AUDITOR, BOTH)
THINGS = (
    (Scope.PLATFORM, ""), (Scope.DEPARTMENT, "ga"), (Scope.DATASET, "ga.population"),
    (Scope.USER, "lin"), (Scope.USER, "han"), (Scope.PROJECT, "elderly"),
)  # fmt: skip
OFFICERS = {"han", "lu", "qiao"}


@pytest.mark.parametrize(("scope", "target", "who"), [
    (Scope.PLATFORM, "", OFFICERS), (Scope.USER, "lin", OFFICERS), (Scope.PROJECT, "x", OFFICERS),
    (Scope.DEPARTMENT, "ga", OFFICERS | {"steward_ga", "bureau"}),
    (Scope.DATASET, "ga.population", OFFICERS | {"steward_ga", "bureau"}),
])  # fmt: skip
def test_who_may_stop_what(scope, target, who):
    able = {each.id for each in PEOPLE if may_freeze(each, scope, target, small_catalog())}
    assert able - {"both"} == who


def made(scope, target, by, department, capacity):
    return Freeze(1, scope, target, "", by, department, capacity, None)


def test_whom_it_stops_ends_nothing():
    of_officer = made(Scope.USER, "han", "", "", BY_RULE)
    assert not may_end(HAN, of_officer, small_catalog())
    assert may_end(LU, of_officer, small_catalog())
    by_others = made(Scope.DEPARTMENT, "ga", "han", "db", Role.SECURITY_OFFICER)
    assert not may_end(GA, by_others, small_catalog())
    by_itself = made(Scope.DEPARTMENT, "ga", "steward_ga", "ga", Role.DEPARTMENT_STEWARD)
    assert may_end(GA, by_itself, small_catalog())


@pytest.fixture
def desk(tmp_path):
    with world(tmp_path) as opened:
        yield Freezing(opened.life.desk, small_catalog())


def code(act, *said):
    try:
        act(*said)
    except MiddleplatformError as error:
        return error.code
    return ""


def test_two_officers_or_an_officer_and_the_owner_and_nobody_alone(desk):
    number = desk.freeze(BUREAU, Scope.DATASET, "ga.population", "滥用").number
    assert desk.unfreeze(BUREAU, number, "x").state == "open"
    assert desk.unfreeze(GA, number, "x").state == "open"  # two, but no officer
    assert code(desk.unfreeze, GA, number, "x") == "Q042"
    assert code(desk.unfreeze, TAX, number, "x") == "P004"
    assert desk.unfreeze(HAN, number, "x").state == "lifted"
    assert code(desk.unfreeze, LU, number, "x") == "Q042"
    assert code(desk.unfreeze, LU, 9, "x") == "Q041"


def test_conflicting_roles_do_nothing_whatever_let_them_in(desk):
    assert code(desk.freeze, BOTH, Scope.PLATFORM, "", "x") == "P004"
    desk.freeze(HAN, Scope.PLATFORM, "", "x")
    assert code(desk.unfreeze, BOTH, 1, "x") == "P004"


def test_capital_letters_make_no_second_person(desk):
    shouting = replace(HAN, id="HAN")
    desk.freeze(QIAO, Scope.PLATFORM, "", "x")
    assert desk.unfreeze(HAN, 1, "x").state == "open"
    assert code(desk.unfreeze, shouting, 1, "x") == "Q042"
    desk.freeze(QIAO, Scope.USER, "Han", "x")
    assert desk.unfreeze(LU, 1, "x").state == "open"  # Han's own yes counts no more
    assert [code(desk.unfreeze, each, 2, "x") for each in (HAN, shouting)] == ["P004", "P004"]
    assert [each.freeze.number for each in desk.listed(replace(ANALYST, id="HAN"))] == [1, 2]


def test_two_who_are_frozen_do_not_free_each_other(desk):
    desk.freeze(QIAO, Scope.USER, "han", "x")
    desk.freeze(QIAO, Scope.USER, "lu", "x")
    assert code(desk.unfreeze, HAN, 2, "x") == "P004"
    assert code(desk.unfreeze, LU, 1, "x") == "P004"


def test_a_yes_of_somebody_who_is_frozen_later_counts_no_more(desk):
    desk.freeze(QIAO, Scope.PLATFORM, "", "x")
    desk.unfreeze(HAN, 1, "x")
    desk.freeze(QIAO, Scope.USER, "han", "x")
    assert desk.unfreeze(LU, 1, "x").state == "open"
    assert desk.unfreeze(QIAO, 1, "x").state == "lifted"


def test_people_see_what_stops_them(desk):
    for scope, target in THINGS:
        desk.freeze(HAN, scope, target, "x")
    seen = {
        who.id: [each.freeze.number for each in desk.listed(who)] for who in (HAN, GA, TAX, ANALYST)
    }
    assert seen == {
        "han": [1, 2, 3, 4, 5, 6],
        "steward_ga": [1, 2, 3],
        "steward_tax": [1],
        "lin": [1, 4],
    }


def test_time_ends_it_and_then_nobody_has_to(desk):
    clock = desk.desk.clock
    number = desk.freeze(HAN, Scope.PLATFORM, "", "x", ends=clock.now() + timedelta(hours=1)).number
    assert code(desk.freeze, HAN, Scope.PLATFORM, "", "x") == ""
    clock.advance(hours=1)
    assert [each.state for each in desk.listed(HAN)] == ["ended", "open"]
    assert code(desk.unfreeze, HAN, number, "x") == "Q042"


class Book:
    """What the test itself knows: who froze what, who agreed, what is over."""

    def __init__(self):
        self.open, self.said = {}, {}

    def frozen(self):
        return {target for scope, target in self.open.values() if scope is Scope.USER}


@examples(6)
@given(st.integers(min_value=0))
def test_whatever_people_do_a_freeze_ends_by_two_of_whom_one_is_an_officer(seed):
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as opened:
        freezing, book = Freezing(opened.life.desk, small_catalog()), Book()
        for _ in range(25):
            who, number = (
                dice.choice((HAN, LU, QIAO) * 2 + PEOPLE),
                dice.randint(1, len(book.said) + 1),
            )
            if dice.random() < 0.25 or not book.said:
                scope, target = dice.choice(THINGS)
                if not code(freezing.freeze, who, scope, target, "x"):
                    number = len(book.said) + 1
                    book.open[number], book.said[number] = (scope, target), set()
            elif not code(freezing.unfreeze, who, number, "x"):
                assert who.id not in book.frozen()
                book.said[number].add(who.id)
            for each in freezing.listed(HAN):
                if each.state == "lifted" and each.freeze.number in book.open:
                    said = book.said[each.freeze.number] - book.frozen()
                    assert len(said) >= 2
                    assert said & OFFICERS
                    assert each.freeze.target not in said
                    del book.open[each.freeze.number]
            assert {
                each.freeze.number for each in freezing.listed(HAN) if each.state == "open"
            } == set(book.open)
        bodies = [each.record.body for each in opened.log.entries()]
        lifted = [each["freeze"]["number"] for each in bodies if each["action"] == "lifted"]
        assert sorted(lifted) == sorted(set(book.said) - set(book.open))
        assert len([each for each in bodies if each["action"] == "frozen"]) == len(book.said)


def test_any_two_entitled_people_with_an_officer_are_enough(tmp_path):
    with world(tmp_path) as opened:
        freezing = Freezing(opened.life.desk, small_catalog())
        for one, other in combinations((HAN, LU, GA, BUREAU), 2):
            number = freezing.freeze(QIAO, Scope.DATASET, "ga.population", "x").number
            freezing.unfreeze(one, number, "x")
            state = freezing.unfreeze(other, number, "x").state
            assert (state == "lifted") == bool({one.id, other.id} & OFFICERS)
