"""Applications in the console, from the first wish to the last review: each act by its person, refused to all others."""

import re
from dataclasses import replace

import pytest
from analyst_world import opened_world, text_of

from middleplatform.demo.runtime import PERSONAS
from middleplatform.governance import workdays
from middleplatform.governance.granted import granted
from middleplatform.governance.handling import number_of
from middleplatform.web.console.waiting import Counts

MINE = "/console/my/applications"
ANSWERING = "/console/department/applications"
TICKETS = "/console/tickets"
CONNECTORS = "/console/department/connectors"
WANTED = "ss.insurance.contribution_base"
LAW = "《政务数据共享条例》第二十七条"
WISH = {
    "column": [WANTED, "ss.insurance.id_number", "tax.individual_income.income_total"], "purpose": "statistics", "basis": "三定方案第四条",
    "scenario": "年度统计", "scope": "全市", "operation": ["aggregate", "count", "group"], "everyone": "yes",
    "ends": "2027-06-30",
}  # fmt: skip
NEEDS = "SELECT AVG(contribution_base) FROM ss.insurance"


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("applications"), demo_data) as made:
        yield made


def _plain(page):
    """Assert that a page needs nothing that the content security policy stops."""
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|javascript:", page.text)
    return page


def _apply(world, **changed):
    """Apply as an analyst who has no grants; return the number."""
    sent = world.post(f"{MINE}/new", "visitor", **{**WISH, **changed})
    assert sent.status_code == 303, text_of(sent)
    return sent.headers["location"].rpartition("/")[2]


def _accepted(world, **changed):
    """Return the number of an application that is signed and found complete."""
    number = _apply(world, **changed)
    assert world.post(f"{MINE}/{number}/sign", "steward_amr").status_code == 303
    assert world.post(f"{ANSWERING}/{number}/accept", "bureau").status_code == 303
    return number


def test_forms_of_others_and_forged_ones_do_nothing(world):
    number = _accepted(world)
    for path, person in (
        (f"{ANSWERING}/{number}/answer", "steward_ss"),
    ):  # fmt: skip
        forged = world.ask("POST", path, person, data={"csrf": "token-of-bureau", "grant": "all"})
        assert forged.status_code == 403
    assert world.post(f"{ANSWERING}/{number}/answer", "visitor", grant="all").status_code == 403
    assert world.post(f"{ANSWERING}/{number}/nothing", "steward_ss").status_code == 404
    # A provider of none of the columns sees nothing of it.
    assert world.get(f"{ANSWERING}/{number}", "steward_health").status_code == 404
    assert world.post(f"{ANSWERING}/{number}/answer", "steward_health").status_code == 404


# --- applications ---------------------------------------------------------------------------------------------------


def test_an_application_is_answered_by_its_providers_and_the_grant_is_in_force(world):
    _, before = world.answered(NEEDS, "visitor")
    assert before.status_code == 403
    number = _accepted(world)
    said = text_of(world.get(f"{ANSWERING}?view=waiting", "steward_ss"))
    assert number in said
    assert "your answer" in said
    assert "working days left" in said
    shown = _plain(world.get(f"{ANSWERING}/{number}", "steward_ss"))
    for each in ("三定方案第四条", "年度统计", WANTED):
        assert each in text_of(shown)
    sent = world.post(f"{ANSWERING}/{number}/answer", "steward_ss", grant="all")
    assert sent.headers["location"] == f"{ANSWERING}/{number}"
    assert "It is answered" in text_of(
        world.get(sent.headers["location"], "steward_ss", cookie=_notice(sent, "steward_ss"))
    )
    assert world.post(f"{ANSWERING}/{number}/deliver", "steward_ss").status_code == 303
    refused = world.post(
        f"{ANSWERING}/{number}/answer", "steward_tax", **{"grant": "nothing", "answer-reason": "不同意"}
    )  # fmt: skip
    assert refused.status_code == 400
    assert "needs a reason and the law" in text_of(refused)
    assert "不同意" in refused.text  # what was filled in stays
    done = world.post(
        f"{ANSWERING}/{number}/answer", "steward_tax",
        **{"grant": "nothing", "answer-reason": "不同意", "answer-basis": LAW},
    )  # fmt: skip
    assert done.status_code == 303
    _, page = world.answered(NEEDS, "visitor")
    assert page.status_code == 200, text_of(page)
    stopped = {"suspend-reason": "核查", "suspend-basis": "口头"}
    shown = world.post(f"{ANSWERING}/{number}/suspend", "steward_ss", **stopped)
    assert "art. 27" in text_of(shown)
    stopped["suspend-basis"] = LAW
    assert world.post(f"{ANSWERING}/{number}/suspend", "steward_ss", **stopped).status_code == 303
    _, page = world.answered(NEEDS, "visitor")
    assert page.status_code == 403
    assert (
        world.post(
            f"{ANSWERING}/{number}/resume", "steward_ss", **{"resume-reason": "核查完毕"}
        ).status_code
        == 303
    )
    _, page = world.answered(NEEDS, "visitor")
    assert page.status_code == 200


def _notice(sent, person):
    return f"session={person}; " + sent.headers["set-cookie"].partition(";")[0]


def test_a_part_is_granted_as_chosen(world):
    number = _accepted(world)
    form = {
        "grant": "part", "column": [WANTED], "operation": ["aggregate"], "ends": "2027-01-31", "regions": "990101",
        "answer-reason": "仅限本区", "answer-basis": LAW,
    }  # fmt: skip
    assert world.post(f"{ANSWERING}/{number}/answer", "steward_ss", **form).status_code == 303
    state = world.app.state.services.handling().show(number_of(number), PERSONAS["steward_ss"])
    given = state.parts["ss"].answer
    assert (given.columns, given.operations, given.regions) == (
        {WANTED},
        {"aggregate"},
        ("990101",),
    )
    assert given.ends.isoformat() == "2027-01-30T16:00:00+00:00"


def test_an_incomplete_file_is_returned_once_with_a_list(world):
    number = _apply(world)
    world.post(f"{MINE}/{number}/sign", "steward_amr")
    empty = world.post(f"{ANSWERING}/{number}/return", "bureau", missing=" ")
    assert empty.status_code == 400
    assert "list of what is missing is empty" in text_of(empty)
    sent = world.post(f"{ANSWERING}/{number}/return", "bureau", missing="批复文件\r\n项目编号\r\n")
    assert sent.status_code == 303
    page = world.get(f"{ANSWERING}/{number}", "bureau")
    assert "批复文件" in page.text
    assert f"{number}/return" not in page.text
    again = world.post(f"{ANSWERING}/{number}/return", "bureau", missing="再来一次")
    assert again.status_code == 400


def test_more_time_is_asked_for_and_given(world):
    number = _accepted(world)
    path = f"{ANSWERING}/{number}"
    far = world.post(f"{path}/extend", "steward_ss", **{"days": "500", "extend-reason": "工作量大"})
    assert far.status_code == 400
    assert 'value="500"' in far.text
    sent = world.post(f"{path}/extend", "steward_ss", **{"days": "5", "extend-reason": "工作量大"})
    assert sent.status_code == 303
    assert "consent to an extension" in text_of(world.get(f"{ANSWERING}?view=waiting", "bureau"))
    assert "工作量大" in text_of(world.get(path, "bureau"))
    assert world.post(f"{path}/consent", "bureau", department="ss").status_code == 303
    assert "5 working days asked, 5 given" in text_of(world.get(path, "steward_ss"))
    said = text_of(world.get(f"{MINE}/{number}", "visitor"))
    assert re.search(r"more time asked for .* 5 working days 工作量大 more time given", said)


def _refused(world):
    """Return the number of an application that one of its providers refused."""
    number = _accepted(world)
    form = {"grant": "nothing", "answer-reason": "不同意", "answer-basis": LAW}
    assert world.post(f"{ANSWERING}/{number}/answer", "steward_ss", **form).status_code == 303
    return number


def test_a_dispute_goes_up_and_is_settled_by_the_bureau(world):
    number = _refused(world)
    path, mine = f"{ANSWERING}/{number}", f"{MINE}/{number}"
    shown = _plain(world.get(mine, "visitor"))
    assert f"{mine}/object" in shown.text
    assert 'value="tax"' not in shown.text  # it is not late yet
    bare = world.post(f"{mine}/object", "visitor", department="ss", **{"object-reason": " "})
    assert (bare.status_code, "needs a reason" in text_of(bare)) == (400, True)
    other = world.post(f"{mine}/object", "visitor", department="tax", **{"object-reason": "有误"})
    assert other.status_code == 400
    assert "有误" in other.text  # what was filled in stays
    objected = {"department": "ss", "object-reason": "与职责有关"}
    assert world.post(f"{mine}/object", "visitor", **objected).status_code == 303
    assert f"{mine}/object" not in world.get(mine, "visitor").text
    assert "与职责有关" in text_of(world.get(path, "steward_ss"))
    assert "a dispute with you" in text_of(world.get(f"{ANSWERING}?view=waiting", "steward_ss"))
    early = world.post(f"{path}/settle", "bureau", **{"settle-reason": "尚未协商"})
    assert early.status_code == 403
    assert world.post(f"{path}/escalate", "bureau", **{"escalate-reason": ""}).status_code == 400
    told = {"escalate-reason": "协商不成"}
    assert world.post(f"{mine}/escalate", "visitor", **told).status_code == 303
    assert "data bureau of the same level" in text_of(world.get(path, "steward_ss"))
    assert "data bureau of the same level" in text_of(world.get(mine, "steward_amr"))
    assert world.post(f"{path}/escalate", "steward_ss", **told).status_code == 303
    assert world.post(f"{path}/escalate", "bureau", **told).status_code == 303
    last = world.post(f"{path}/escalate", "bureau", **told)
    assert (last.status_code, "lies with the government" in text_of(last)) == (400, True)
    assert (
        world.post(f"{path}/settle", "bureau", **{"settle-reason": "应当共享"}).status_code == 303
    )
    assert "dispute is open" not in text_of(world.get(path, "bureau"))
    # What was decided is carried out: withdrawn by the provider for good.
    gone = {"withdraw-reason": "数据停止采集", "withdraw-basis": LAW}
    assert world.post(f"{path}/withdraw", "steward_ss", **gone).status_code == 303


def test_a_dispute_ends_by_agreement_of_the_applying_side_alone(world):
    number = _refused(world)
    mine = f"{MINE}/{number}"
    objected = {"department": "ss", "object-reason": "与职责有关"}
    world.post(f"{mine}/object", "steward_amr", **objected)
    again = {"grant": "all"}  # a dispute reopens the answer
    assert world.post(f"{ANSWERING}/{number}/answer", "steward_ss", **again).status_code == 303
    agreed = {"settle-reason": "已重新答复"}
    refused = world.post(f"{ANSWERING}/{number}/settle", "steward_ss", **agreed)
    assert (refused.status_code, "已重新答复" in refused.text) == (403, False)
    assert world.post(f"{mine}/settle", "visitor", "zh", **agreed).status_code == 303
    assert "争议了结" in text_of(world.get(mine, "visitor", "zh"))
    nothing = world.post(f"{mine}/settle", "visitor", **agreed)
    assert (nothing.status_code, "no dispute" in text_of(nothing)) == (400, True)


# --- emergencies ----------------------------------------------------------------------------------------------------

EMERGENCY = {**{name: value for name, value in WISH.items() if name != "ends"}, "hours": "24"}
EMERGENCY["column"] = [f"tax.individual_income.{name}" for name in ("income_total", "id_number")]
URGENT = "SELECT AVG(income_total) FROM tax.individual_income"


def _emergency(world, person="visitor", **changed):
    """Apply in an emergency; return the number."""
    sent = world.post(f"{MINE}/emergency", person, **{**EMERGENCY, **changed})
    assert sent.status_code == 303, text_of(sent)
    return sent.headers["location"].rpartition("/")[2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"hours": "999"}, "1 to 72"), ({"hours": ""}, "hours"), ({"basis": ""}, "all particulars")],
)
def test_an_emergency_that_lacks_something_is_refused_at_its_form(world, changed, said):
    before = world.get(f"{MINE}?q=GX", "visitor").text.count("<tr>")
    page = world.post(f"{MINE}/emergency", "visitor", **{**EMERGENCY, **changed})
    assert (page.status_code, said in text_of(page)) == (422, True)
    assert "年度统计" in page.text  # what was filled in stays
    assert f'action="{MINE}/emergency"' in page.text
    assert world.get(f"{MINE}?q=GX", "visitor").text.count("<tr>") == before


def test_a_forged_emergency_is_none(world):
    for person in ("visitor", "steward_amr"):
        forged = world.ask("POST", f"{MINE}/emergency", person, data={**EMERGENCY, "csrf": "x"})
        assert forged.status_code == 403
    assert world.post(f"{MINE}/emergency", "officer_a", **EMERGENCY).status_code == 403


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_emergency_wants_an_officer_and_the_steward_and_opens_with_both(world, language):
    number = _emergency(world)
    path = f"{ANSWERING}/{number}"
    page = _plain(world.get(f"{ANSWERING}?view=waiting&q={number}", "officer_a", language))
    words = ("your approval", "emergency") if language == "en" else ("待你批准", "应急")
    assert all(each in text_of(page) for each in (number, *words))
    assert number in text_of(world.get(f"{ANSWERING}?view=emergency&q={number}", "auditor"))
    shown = _plain(world.get(path, "officer_a", language))
    assert f"{path}/approve" in shown.text
    assert f"{path}/answer" not in shown.text
    # Neither alone opens anything, and an auditor does nothing at all.
    assert world.post(f"{path}/approve", "auditor").status_code == 403
    assert f"{path}/" not in world.get(path, "auditor").text
    assert world.post(f"{path}/approve", "officer_a").status_code == 303
    again = world.post(f"{path}/approve", "officer_b")
    assert (again.status_code, "approved already" in text_of(again)) == (400, True)
    assert number not in text_of(world.get(f"{ANSWERING}?view=waiting", "officer_b"))
    state = world.app.state.services.handling().show(number_of(number), PERSONAS["visitor"])
    assert granted(state) == ()
    waits = text_of(world.get(f"{ANSWERING}?view=waiting&q={number}", "steward_tax"))
    assert number in waits
    assert world.post(f"{path}/approve", "steward_tax").status_code == 303
    _, answered = world.answered(URGENT, "visitor")
    assert answered.status_code == 200, text_of(answered)
    # The whole is stopped and let go on by an officer; the bureau ends it.
    assert world.post(f"{path}/suspend", "officer_b", **{"suspend-reason": ""}).status_code == 400
    stop = {"suspend-reason": "核查"}
    assert world.post(f"{path}/suspend", "officer_b", **stop).status_code == 303
    _, refused = world.answered(URGENT, "visitor")
    assert refused.status_code == 403
    assert world.post(f"{path}/resume", "officer_b", **{"resume-reason": "核毕"}).status_code == 303
    early = world.post(f"{path}/review", "bureau", **{"review-reason": "未见滥用"})
    assert (early.status_code, "nothing to review" in text_of(early)) == (400, True)
    gone = {"withdraw-reason": "应急结束", "withdraw-basis": LAW}
    assert world.post(f"{path}/withdraw", "bureau", **gone).status_code == 303
    assert number in text_of(world.get(f"{ANSWERING}?view=waiting&q={number}", "bureau"))
    bare = world.post(f"{path}/review", "bureau", **{"review-reason": " "})
    assert (bare.status_code, "says what it found" in text_of(bare)) == (400, True)
    done = {"review-reason": "使用正当"}
    assert world.post(f"{path}/review", "officer_a", **done).status_code == 403
    assert world.post(f"{path}/review", "bureau", **done).status_code == 303
    assert "使用正当" in text_of(world.get(f"{MINE}/{number}", "visitor", language))
    assert number not in text_of(world.get(f"{ANSWERING}?view=waiting", "bureau"))


def test_no_emergency_where_the_regulation_knows_none(world, monkeypatch):
    services = world.app.state.services
    rules = services.rules
    monkeypatch.setattr(
        services, "rules", replace(rules, regulation=replace(rules.regulation, emergency_hours_max=0))
    )  # fmt: skip
    assert f"{MINE}/emergency" not in world.get(MINE, "visitor").text
    assert "There is no emergency lane" in text_of(world.get(f"{MINE}/emergency", "visitor"))
    page = world.post(f"{MINE}/emergency", "visitor", **EMERGENCY)
    assert page.status_code == 422


# --- the time line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_time_line_names_article_and_term_of_every_event(world, language):
    number = _refused(world)
    for path, person in ((f"{MINE}/{number}", "visitor"), (f"{ANSWERING}/{number}", "steward_ss")):
        said = text_of(_plain(world.get(path, person, language)))
        line = said.partition("What happened" if language == "en" else "办理过程")[2]
        words = (
            ("submitted art. 20", "signed art. 20", "found complete art. 21", "Deadline begins",
             "answered", "Deadline met", "To be done", "working days left", "It ends by itself")
            if language == "en"
            else ("提交申请 第二十条", "签署 第二十条", "受理 第二十一条", "期限起算", "答复", "办结期限",
                  "待办", "剩余 10 个工作日", "到期自动终止")
        )  # fmt: skip
        places = [line.find(each) for each in words]
        assert -1 not in places, (words, line)
        assert places[0] < places[1] < places[2]


def test_a_time_line_says_when_holidays_are_not_known(world, monkeypatch):
    number = _accepted(world)
    unknown = "holidays not known yet"
    assert unknown not in text_of(world.get(f"{MINE}/{number}", "visitor"))
    monkeypatch.setattr(workdays, "_known_years", frozenset)
    for path, person in (
        (f"{MINE}/{number}", "visitor"), (f"{ANSWERING}/{number}", "steward_ss"),
        (f"{ANSWERING}?q={number}", "steward_ss"),
    ):  # fmt: skip
        assert unknown in text_of(world.get(path, person)), path


def test_forms_of_the_applying_side_are_its_own(world):
    number = _refused(world)
    objected = {"department": "ss", "object-reason": "x"}
    for person in ("steward_ss", "analyst_drc"):
        page = world.post(f"{MINE}/{number}/object", person, **objected)
        assert page.status_code in (403, 404), person
    forged = world.ask("POST", f"{MINE}/{number}/object", "visitor", data={**objected, "csrf": "x"})
    assert forged.status_code == 403
    assert world.post(f"{MINE}/{number}/accept", "visitor").status_code == 404
    assert world.post(f"{ANSWERING}/{number}/object", "steward_ss").status_code == 404


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_is_filtered_and_says_what_is_due(world, language):
    number = _accepted(world)
    page = world.get(f"{ANSWERING}?q={number}", "steward_ss", language)
    assert number in text_of(page)
    assert ("个工作日" if language == "zh" else "working days left") in text_of(page)
    assert number not in text_of(world.get(f"{ANSWERING}?q=nothing-has-this", "steward_ss"))
    assert number not in text_of(world.get(f"{ANSWERING}?view=overdue", "steward_ss"))


# --- what waits, in the navigation ----------------------------------------------------------------------------------


def _counted(page):
    """Return the numbers of the navigation by address."""
    found = re.findall(r'<a href="([^"]+)"[^>]*>[^<]*</a><span class="count">(\d+)<', page.text)
    return {path: int(number) for path, number in found}


def test_the_navigation_counts_what_waits_and_again_after_each_act(world):
    before = _counted(world.get("/console", "officer_b")).get(ANSWERING, 0)
    number = _emergency(world)
    for path in ("/console", ANSWERING, "/console/catalog"):
        page = _plain(world.get(path, "officer_b"))
        assert _counted(page).get(ANSWERING) == before + 1, path
    assert "waiting" in text_of(page)
    assert ANSWERING not in _counted(world.get("/console", "auditor"))
    assert "项待办" in text_of(world.get(ANSWERING, "officer_b", "zh"))
    partial = world.get(ANSWERING, "officer_b", **{"HX-Request": "true"})
    assert _counted(partial) == {}
    # Another person's approval is seen by the next page at once.
    assert world.post(f"{ANSWERING}/{number}/approve", "officer_a").status_code == 303
    assert _counted(world.get(ANSWERING, "officer_b")).get(ANSWERING, 0) == before
    world.post(f"{MINE}/{number}/withdraw", "visitor", **{"withdraw-reason": "结束"})


def test_the_same_numbers_are_not_worked_out_for_every_page(world, monkeypatch):
    console, asked = world.app.state.console, []
    entry = next(each for each in console.entries if each.path == TICKETS)
    counted = replace(entry, waiting=lambda request: asked.append(request.url.path) or 7)
    others = [each for each in console.entries if each.path != TICKETS]
    monkeypatch.setattr(console, "entries", [*others, counted])
    monkeypatch.setattr(console, "counts", Counts())
    for person in ("steward_ss", "steward_ss", "steward_tax", "steward_ss"):
        assert _counted(world.get("/console/catalog", person))[TICKETS] == 7
    assert len(asked) == 2  # once a person
    notes = {"name": "n", "sql": "SELECT 1", "purpose": "statistics"}
    assert world.post("/console/saved", "analyst_drc", **notes).status_code == 303
    assert _counted(world.get("/console/catalog", "steward_ss"))[TICKETS] == 7
    assert len(asked) == 2  # nothing waits after what somebody kept
    _emergency(world)
    assert _counted(world.get("/console/catalog", "steward_ss"))[TICKETS] == 7
    assert len(asked) == 3  # an act was done since


def test_a_page_that_is_made_on_the_event_loop_has_its_numbers_too(world):
    _emergency(world)
    page = world.get(CONNECTORS, "steward_tax")  # a coroutine: it asks a node
    assert _counted(page)[ANSWERING] >= 1
