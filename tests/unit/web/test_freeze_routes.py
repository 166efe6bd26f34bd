"""Freezes over REST: one stops, two go on; who sees what, and why is not for whom it stops."""

import pytest

from middleplatform.model.request import Role
from middleplatform.web import bodies_freeze as bodies
from tests.fakes.rest_world import governing

OFFICER, STEWARD = Role.SECURITY_OFFICER, Role.DEPARTMENT_STEWARD
GA = {"scope": "dataset", "target": "ga.population", "reason": "接口异常"}


@pytest.fixture
def doors(tmp_path):
    with governing(tmp_path) as opened:
        yield opened


def freeze(doors, token, body=GA):
    return doors.ask("POST", "/v1/freezes", token, body)


def test_one_stops_and_two_go_on(doors):
    steward = doors.token("ga_head", "ga", STEWARD)
    made = freeze(doors, steward)
    assert (made.status, made.headers["location"]) == (201, "/v1/freezes/1")
    assert bodies.FreezeBody.model_validate(made.value).capacity == "department_steward"
    one = doors.ask("POST", "/v1/freezes/1/end", steward, {"reason": "已修复"})
    assert bodies.FreezeBody.model_validate(one.value).state == "open"
    again = doors.ask("POST", "/v1/freezes/1/end", steward, {"reason": "已修复"})
    assert (again.status, again.value["code"]) == (409, "Q042")
    other = doors.ask("POST", "/v1/freezes/1/end", doors.by_role(OFFICER), {"reason": "已核实"})
    ended = bodies.FreezeBody.model_validate(other.value)
    assert (ended.state, [each.person for each in ended.consents]) == (
        "lifted",
        ["ga_head", "the_security_officer"],
    )
    open_ones = doors.ask("GET", "/v1/freezes?state=open", steward)
    assert bodies.FreezesBody.model_validate(open_ones.value).freezes == []


def test_a_person_sees_what_stops_him_but_not_why(doors):
    officer = doors.by_role(OFFICER)
    frozen = doors.token("lin", "drc", Role.ANALYST)
    freeze(doors, officer, {"scope": "user", "target": "lin", "reason": "疑似试探"})
    freeze(doors, officer, {"scope": "user", "target": "wang", "reason": "疑似试探"})
    (seen,) = doors.ask("GET", "/v1/freezes", frozen).value["freezes"]
    assert (seen["target"], seen["reason"], seen["by"], seen["consents"]) == ("lin", "", "", [])
    told = doors.ask("GET", "/v1/freezes", officer).value["freezes"]
    assert [each["reason"] for each in told] == ["疑似试探"] * 2
    for number in (2, 9):
        missing = doors.ask("GET", f"/v1/freezes/{number}", frozen)
        assert (missing.status, missing.value["detail"]) == (404, f"There is no freeze {number}.")


def test_what_another_department_stopped_is_not_there_to_be_ended(doors):
    freeze(doors, doors.token("ga_head", "ga", STEWARD))
    stranger = doors.token("amr_head", "amr", STEWARD)
    for number in (1, 9):
        answer = doors.ask("POST", f"/v1/freezes/{number}/end", stranger, {"reason": "x"})
        assert (answer.status, answer.value["code"]) == (404, "Q041")


@pytest.mark.parametrize(("body", "status"), [
    (GA | {"target": "ga.nothing"}, 404), (GA | {"scope": "all"}, 400), (GA | {"reason": " "}, 400),
    (GA | {"hours": 0}, 400), (GA | {"hours": 9000}, 400), (GA | {"scope": "platform"}, 400),
    ({"scope": "user", "target": "a b", "reason": "x"}, 400),
])  # fmt: skip
def test_a_freeze_of_nothing_is_refused(doors, body, status):
    assert freeze(doors, doors.by_role(OFFICER), body).status == status


def test_a_freeze_for_hours_ends_by_itself_and_lists_page(doors):
    officer = doors.by_role(OFFICER)
    freeze(doors, officer, GA | {"hours": 2})
    freeze(doors, officer, GA | {"drill": True})
    first = doors.ask("GET", "/v1/freezes?limit=1", officer).value
    rest = doors.ask("GET", f"/v1/freezes?after={first['next']}", officer).value
    assert [each["number"] for each in first["freezes"] + rest["freezes"]] == [1, 2]
    doors.clock.advance(hours=3)
    assert doors.ask("GET", "/v1/freezes/1", officer).value["state"] == "ended"
    assert doors.ask("GET", "/v1/alerts", officer).value == {"alerts": [], "next": None}
