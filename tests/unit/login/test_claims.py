"""Claims give what the operator's file lists, and nothing that it does not."""

import dataclasses

import pytest

from middleplatform.errors import PolicyError, QueryError
from middleplatform.login.claims import ClaimRules, subject_from
from middleplatform.model.request import Role, Subject

RULES = ClaimRules(
    login=("sub",),
    prefix="",
    department=("dept",),
    departments={"发改委": "drc", "统计局": "stats"},
    department_always="",
    role=("realm", "roles"),
    roles={"mp-a": Role.ANALYST, "mp-s": Role.DEPARTMENT_STEWARD, "mp-x": Role.AUDITOR},
    region=("area",),
    regions={"全市": "*", "东区": "990101"},
    regions_always=(),
)
CLAIMS = {"sub": "u-7", "dept": "发改委", "realm": {"roles": ["mp-a"]}, "area": ["东区"]}


def test_mapped_values_give_the_subject():
    assert subject_from(CLAIMS, RULES) == Subject(
        "u-7", "drc", frozenset({Role.ANALYST}), ("990101",)
    )


def test_values_that_are_not_listed_give_nothing():
    claims = CLAIMS | {
        "realm": {"roles": ["mp-a", "auditor", "admin", 5, None]},
        "area": ["东区", "*"],
        "name": "somebody",
    }
    assert subject_from(claims, RULES) == subject_from(CLAIMS, RULES)


@pytest.mark.parametrize("spoiled", [
    {"sub": ""}, {"sub": None}, {"sub": ["a", "b"]}, {"sub": "a b"}, {"sub": "x" * 65}, {"sub": "张三"},
    {"dept": "审计局"}, {"dept": ["发改委", "统计局"]}, {"dept": None}, {"dept": {"发改委": 1}},
    {"realm": {"roles": []}}, {"realm": {"roles": ["admin"]}}, {"realm": ["mp-a"]}, {"realm": "mp-a"},
    {"realm": {"roles": {"mp-a": True}}}, {"realm": {"roles": ["mp-a"] * 1001}},
    {"area": []}, {"area": "*"}, {"area": None},
])  # fmt: skip
def test_too_little_or_too_much_lets_nobody_in(spoiled):
    with pytest.raises(PolicyError) as caught:
        subject_from(CLAIMS | spoiled, RULES)
    assert caught.value.code == "P006"


def test_conflicting_roles_are_refused():
    with pytest.raises(QueryError, match="together"):
        subject_from(CLAIMS | {"realm": {"roles": ["mp-a", "mp-x"]}}, RULES)


def test_roles_that_go_together_are_both_given():
    found = subject_from(CLAIMS | {"realm": {"roles": ["mp-a", "mp-s"]}}, RULES)
    assert found.roles == {Role.ANALYST, Role.DEPARTMENT_STEWARD}


def test_what_is_always_the_same_needs_no_claim():
    fixed = dataclasses.replace(
        RULES, department_always="drc", regions_always=("*",), prefix="city."
    )
    found = subject_from({"sub": "u-7", "realm": {"roles": "mp-a"}}, fixed)
    assert found == Subject("city.u-7", "drc", frozenset({Role.ANALYST}), ("*",))
