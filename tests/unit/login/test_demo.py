"""The demonstration's codes let in whom they name, in one process, on this machine, for the shipped catalogue only."""

from dataclasses import replace
from pathlib import Path

import pytest

from middleplatform.access.system import SystemRng
from middleplatform.errors import PolicyError
from middleplatform.login.demo import DemoLogins, demo_logins
from middleplatform.model.request import Role, Subject
from middleplatform.policy.examples import example
from middleplatform.policy.suite import personas
from middleplatform.settings import Settings

PEOPLE = personas(example("demo") / "personas.yaml")


@pytest.fixture
def logins():
    return DemoLogins(PEOPLE, SystemRng())


def test_every_persona_gets_a_code_that_lets_it_in(logins):
    shown = logins.shown_once()
    assert {each.persona for each in shown} == {each.id for each in PEOPLE.values()}
    for each in shown:
        assert logins.subject(each.code).id == each.persona
        assert logins.subject(each.code.replace("-", " ").lower()).id == each.persona
        assert logins.subject(each.code.replace("0", "O").replace("1", "l")).id == each.persona


def test_codes_are_shown_once_and_not_kept(logins):
    shown = logins.shown_once()
    assert logins.shown_once() == ()
    kept = repr(vars(logins))
    assert not any(each.code in kept for each in shown)


def test_codes_of_another_process_let_nobody_in(logins):
    code = logins.shown_once()[0].code
    other = DemoLogins(PEOPLE, SystemRng())
    assert other.id != logins.id
    for wrong in (code, "", "-", code[:-1], code + "0"):
        with pytest.raises(PolicyError) as caught:
            other.subject(wrong)
        assert caught.value.code == "P006"


def test_persona_of_conflicting_roles_gets_none():
    both = Subject("both", "db", frozenset({Role.AUDITOR, Role.ANALYST}))
    assert DemoLogins({"both": both}, SystemRng()).shown_once() == ()


@pytest.mark.parametrize("change", [
    {"host": "0.0.0.0"}, {"host": ""}, {"host": "data.gov.example"}, {"catalog": Path("c")}, {"trust": Path("t")},
])  # fmt: skip
def test_no_codes_elsewhere(change):
    assert demo_logins(Settings(), PEOPLE, SystemRng()) is not None
    assert demo_logins(replace(Settings(), **change), PEOPLE, SystemRng()) is None
