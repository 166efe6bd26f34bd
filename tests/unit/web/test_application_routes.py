"""An application's way over REST, from the wish to the grant and its end; lists page and filter."""

import pytest

from middleplatform.governance.told import told
from middleplatform.model.request import Role
from middleplatform.web import bodies_application as bodies
from tests.fakes.rest_world import governing

WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
    "columns": ["tax.individual_income.income_total"], "operations": ["aggregate"], "ends": "2026-12-31",
}  # fmt: skip
LAW = "《政务数据共享条例》第二十七条"


class Scene:
    """Applications, and the people around them."""

    def __init__(self, doors):
        self.doors = doors
        self.analyst = doors.token("lin", "drc", Role.ANALYST)
        self.head = doors.token("head", "drc", Role.DEPARTMENT_STEWARD)
        self.bureau = doors.token("bureau", "db", Role.DATA_BUREAU)
        self.tax = doors.token("tax_head", "tax", Role.DEPARTMENT_STEWARD)
        self.officer = doors.token("officer", "db", Role.SECURITY_OFFICER)

    def apply(self, token=None, **more):
        return self.doors.ask("POST", "/v1/applications", token or self.analyst, WISH | more)

    def act(self, number, act, token, body=None):
        answer = self.doors.ask("POST", f"/v1/applications/{number}/{act}", token, body)
        assert answer.status == 200, answer.body
        return bodies.ApplicationBody.model_validate(answer.value)

    def listed(self, token, query=""):
        answer = self.doors.ask("GET", f"/v1/applications{query}", token)
        found = bodies.ApplicationsBody.model_validate(answer.value)
        return [each.number for each in found.applications], found.next


@pytest.fixture
def scene(tmp_path):
    with governing(tmp_path) as doors:
        yield Scene(doors)


def test_from_the_wish_to_the_grant_and_its_end(scene):
    made = scene.apply()
    assert (made.status, made.headers["location"]) == (201, "/v1/applications/GX1")
    assert made.value["phase"] == "unsigned"
    assert scene.act("GX1", "sign", scene.head).phase == "checking"
    assert (
        scene.act("GX1", "return", scene.bureau, {"missing": ["统计制度批准文号"]}).phase
        == "returned"
    )
    assert (
        scene.act("GX1", "complete", scene.head, WISH | {"scope": "全市常住人口"}).phase
        == "checking"
    )
    assert scene.act("GX1", "accept", scene.bureau).phase == "answering"
    assert (
        scene.act("GX1", "extend", scene.tax, {"days": 3, "reason": "核对口径"})
        .providers[0]
        .extension.asked
        == 3
    )
    assert (
        scene.act("GX1", "consent", scene.bureau, {"department": "tax"})
        .providers[0]
        .extension.given
        == 3
    )
    answered = scene.act("GX1", "answer", scene.tax, {"grant": "all"})
    assert (answered.phase, answered.providers[0].outcome) == ("answered", "granted")
    assert answered.grants[0]["id"] == "GX1/tax"
    assert scene.act("GX1", "deliver", scene.tax).providers[0].delivered_at
    assert scene.act("GX1", "suspend", scene.officer, {"reason": "核查"}).phase == "suspended"
    assert scene.act("GX1", "resume", scene.officer, {"reason": "已核查"}).phase == "answered"
    gone = scene.act("GX1", "withdraw", scene.tax, {"reason": "职责调整", "basis": LAW})
    assert (gone.phase, gone.grants) == ("withdrawn", [])
    seen = scene.doors.ask("GET", "/v1/applications/GX1", scene.analyst)
    assert bodies.ApplicationBody.model_validate(seen.value) == gone
    entries = [each.record for each in scene.doors.gateway.audit.entries()]
    assert {each.event for each in entries} == {"grant"}
    assert [each.body["events"][-1]["act"] for each in entries] == [
        "submitted", "signed", "returned", "completed", "accepted", "extension_asked", "extended", "answered",
        "delivered", "suspended", "resumed", "withdrawn",
    ]  # fmt: skip


def test_a_refusal_is_disputed_step_by_step(scene):
    scene.apply(scene.head)
    scene.act("GX1", "accept", scene.bureau)
    bare = scene.doors.ask("POST", "/v1/applications/GX1/answer", scene.tax, {"grant": "nothing"})
    assert (bare.status, bare.value["code"]) == (400, "Q040")
    no = {"grant": "nothing", "reason": "法律规定不予共享", "basis": "《税收征收管理法》第八条"}
    assert scene.act("GX1", "answer", scene.tax, no).providers[0].outcome == "refused"
    scene.act("GX1", "object", scene.head, {"department": "tax", "reason": "依据不当"})
    raised = scene.act("GX1", "escalate", scene.head, {"reason": "协商未成"})
    assert (raised.dispute.step, raised.dispute.of) == ("same_level_authority", "tax")
    part = {
        "grant": "part",
        "operations": ["aggregate"],
        "ends": "2026-06-30",
        "reason": "半年",
        "basis": LAW,
    }
    assert scene.act("GX1", "answer", scene.tax, part).providers[0].outcome == "granted_in_part"
    assert scene.act("GX1", "settle", scene.bureau, {"reason": "已达成"}).dispute is None


def test_an_emergency_needs_two_others_and_is_reviewed(scene):
    wish = {name: value for name, value in WISH.items() if name != "ends"}
    urgent = wish | {"lane": "emergency", "hours": 24, "purpose": "emergency"}
    made = scene.doors.ask("POST", "/v1/applications", scene.head, urgent)
    assert (made.status, made.value["lane"]) == (201, "emergency")
    scene.act("GX1", "approve", scene.officer)
    assert scene.act("GX1", "approve", scene.tax).phase == "answered"
    scene.doors.clock.advance(hours=25)
    assert (
        scene.act("GX1", "review", scene.bureau, {"reason": "使用适当"}).review.finding
        == "使用适当"
    )


@pytest.mark.parametrize("given", [
    {"grant": "all", "columns": ["tax.individual_income.income_total"]}, {"grant": "nothing", "regions": ["*"]},
    {"grant": "some"}, {}, {"grant": "part", "columns": []}, {"grant": "part", "ends": "soon"},
])  # fmt: skip
def test_an_answer_says_one_thing(scene, given):
    scene.apply(scene.head)
    scene.act("GX1", "accept", scene.bureau)
    refused = scene.doors.ask("POST", "/v1/applications/GX1/answer", scene.tax, given)
    assert (refused.status, refused.value["code"]) == (400, "Q040")


@pytest.mark.parametrize("more", [
    {"ends": "2026-02-30"}, {"starts": "2026-01-01T25:00:00Z"}, {"columns": []}, {"columns": ["tax"] * 2}, {"hours": 5},
    {"regions": ["99"]}, {"operations": ["copy"]}, {"basis": "a\0b"}, {"mode": "file"}, {"everyone": "yes"},
])  # fmt: skip
def test_a_wish_that_is_none_is_refused(scene, more):
    refused = scene.apply(**more)
    assert (refused.status, refused.value["code"]) == (400, "Q040"), refused.body
    assert scene.listed(scene.analyst) == ([], None)


def test_both_sides_list_what_they_may_see_page_by_page(scene):
    for _ in range(3):
        scene.apply(scene.head)
    scene.act("GX2", "accept", scene.bureau)
    for token in (scene.analyst, scene.tax, scene.bureau, scene.officer):
        assert scene.listed(token) == (["GX1", "GX2", "GX3"], None)
    assert scene.listed(scene.tax, "?limit=2") == (["GX1", "GX2"], 2)
    assert scene.listed(scene.tax, "?limit=2&after=2") == (["GX3"], None)
    assert scene.listed(scene.tax, "?phase=answering") == (["GX2"], None)
    assert scene.listed(scene.tax, "?overdue=true") == ([], None)
    scene.doors.clock.advance(days=60)
    assert scene.listed(scene.tax, "?overdue=true") == (["GX2"], None)
    assert scene.listed(scene.doors.token("amr_head", "amr", Role.DEPARTMENT_STEWARD)) == ([], None)


def test_what_is_told_is_what_every_door_tells(scene):
    scene.apply(scene.head, everyone=True, subjects=None)
    services = scene.doors.app.state.services
    handling = services.handling()
    person = scene.doors.tokens.authenticate(scene.tax)
    shown = told(handling.show(1, person), handling.rules, scene.doors.clock.now())
    assert scene.doors.ask("GET", "/v1/applications/GX1", scene.tax).value == shown


def test_the_history_says_what_happened_by_which_article_and_until_when(scene):
    scene.apply()
    scene.act("GX1", "sign", scene.head)
    scene.act("GX1", "accept", scene.bureau)
    seen = scene.doors.ask("GET", "/v1/applications/GX1/history", scene.tax)
    told = bodies.HistoryBody.model_validate(seen.value)
    assert [(each.act, each.article_en, each.article_zh) for each in told.events] == [
        ("submitted", "art. 20", "第二十条"), ("signed", "art. 20", "第二十条"), ("accepted", "art. 21", "第二十一条"),
    ]  # fmt: skip
    (term,) = told.ahead
    assert (term.name, term.department, term.working_days_left) == ("answer_conditional", "tax", 10)
    assert told.events[-1].began == [term]
    other = scene.doors.token("amr", "amr", Role.DEPARTMENT_STEWARD)
    none = scene.doors.ask("GET", "/v1/applications/GX1/history", other)
    assert (none.status, none.value["code"]) == (404, "Q041")
