"""Service tokens over REST: made and revoked by administrators as acts of the log; saved questions are one's own."""

import asyncio

import pytest

from middleplatform.model.request import Role
from middleplatform.web import bodies_account, bodies_token
from tests.fakes.rest_world import governing

DRAFT = {
    "login": "lin", "department": "drc", "roles": ["analyst"], "regions": ["990101"], "days": 30,
    "note": "笔记本", "reason": "新入职",
}  # fmt: skip
ASKED = {"name": "按区统计", "sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


@pytest.fixture
def doors(tmp_path):
    with governing(tmp_path) as opened:
        yield opened


def logged(doors, event):
    return [
        each.record.body for each in doors.gateway.audit.entries(0) if each.record.event == event
    ]


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_lets_in_and_ends_with_its_revocation(doors):
    root = doors.by_role(Role.SYSTEM_ADMINISTRATOR)
    made = doors.ask("POST", "/v1/tokens", root, DRAFT)
    assert made.status == 201
    told = bodies_token.MadeTokenBody.model_validate(made.value)
    assert (told.login, told.roles, told.regions, told.revoked_at) == (
        "lin", ["analyst"], ["990101"], None,
    )  # fmt: skip
    assert doors.ask("GET", "/v1/me", told.token).value["id"] == "lin"
    listed = doors.ask("GET", "/v1/tokens", root)
    found = bodies_token.TokensBody.model_validate(listed.value)
    assert told.id in {each.id for each in found.tokens}
    assert told.token.encode() not in listed.body
    gone = doors.ask("POST", f"/v1/tokens/{told.id}/revoke", root, {"reason": "离职"})
    assert bodies_token.TokenBody.model_validate(gone.value).revoked_at
    assert doors.ask("GET", "/v1/me", told.token).status == 401
    entries = [each for each in logged(doors, "login") if each["token"] == told.id]
    assert [(each["what"], each["reason"]) for each in entries] == [
        ("token_made", "新入职"), ("token_revoked", "离职"),
    ]  # fmt: skip
    assert told.token not in str(entries)
    assert "account" not in entries[0]
    again = doors.ask("POST", f"/v1/tokens/{told.id}/revoke", root, {"reason": "离职"})
    assert (again.status, again.value["code"]) == (400, "Q040")
    none = doors.ask("POST", f"/v1/tokens/{'0' * 16}/revoke", root, {"reason": "离职"})
    assert (none.status, none.value["code"]) == (404, "Q041")


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": " "}, {"reason": "x" * 501}, {"days": 0}, {"days": 367}, {"days": "30"}, {"roles": []},
        {"roles": ["root"]}, {"roles": ["analyst", "auditor"]}, {"login": "林"}, {"department": "DRC"},
        {"regions": []}, {"regions": ["99"]}, {"note": "a\x00"}, {"secret": "x"},
    ],
)  # fmt: skip
def test_what_no_token_can_be_is_refused_and_leaves_no_entry(doors, changed):
    root = doors.by_role(Role.SYSTEM_ADMINISTRATOR)
    before = len(doors.tokens.records())
    seen = doors.ask("POST", "/v1/tokens", root, {**DRAFT, **changed})
    assert (seen.status, seen.value["code"]) == (400, "Q040")
    assert (len(doors.tokens.records()), logged(doors, "login")) == (before, [])


def test_one_person_gets_no_roles_that_exclude_each_other_by_two_tokens(doors):
    root = doors.by_role(Role.SYSTEM_ADMINISTRATOR)
    assert doors.ask("POST", "/v1/tokens", root, DRAFT).status == 201
    other = {**DRAFT, "login": "LIN", "roles": ["security_officer"]}
    assert doors.ask("POST", "/v1/tokens", root, other).value["code"] == "Q040"
    assert len(logged(doors, "login")) == 1


def test_tokens_are_listed_by_pages(doors):
    root = doors.by_role(Role.SYSTEM_ADMINISTRATOR)
    for number in range(3):
        assert (
            doors.ask("POST", "/v1/tokens", root, {**DRAFT, "login": f"lin{number}"}).status == 201
        )
    every = doors.ask("GET", "/v1/tokens", root).value["tokens"]
    after, seen = 0, []
    while after is not None:
        page = doors.ask("GET", f"/v1/tokens?limit=2&after={after}", root).value
        seen, after = seen + page["tokens"], page["next"]
    assert seen == every


def test_two_administrators_at_once_both_get_theirs(doors):
    async def scene():
        roots = [doors.token(f"root{number}", "db", Role.SYSTEM_ADMINISTRATOR) for number in (1, 2)]
        calls = [
            doors.send("POST", "/v1/tokens", root, {**DRAFT, "login": f"p{number}"})
            for number in range(6)
            for root in (roots[number % 2],)
        ]
        return await asyncio.gather(*calls)

    made = asyncio.run(scene())
    assert [each.status for each in made] == [201] * 6
    for each in made:
        assert doors.ask("GET", "/v1/me", each.value["token"]).status == 200
    assert len(logged(doors, "login")) == 6


# --- saved questions ------------------------------------------------------------------------------------------------


def test_a_question_is_kept_replaced_and_taken_away_and_nobody_elses(doors):
    lin, other = doors.token("lin", "drc", Role.ANALYST), doors.token("mo", "drc", Role.ANALYST)
    made = doors.ask("POST", "/v1/saved", lin, {**ASKED, "noise": "1/50", "strict": True})
    kept = bodies_token.SavedBody.model_validate(made.value)
    assert (made.status, kept.name, kept.noise, kept.strict) == (201, "按区统计", "1/50", True)
    assert doors.ask("GET", f"/v1/saved/{kept.number}", lin).value == made.value
    for method in ("GET", "DELETE"):
        seen = doors.ask(method, f"/v1/saved/{kept.number}", other)
        none = doors.ask(method, "/v1/saved/999", other)
        assert (seen.status, seen.value["code"]) == (404, "Q041")
        assert seen.body == none.body
    assert doors.ask("GET", "/v1/saved", other).value == {"questions": [], "next": None}
    again = doors.ask("POST", "/v1/saved", lin, ASKED).value  # the same name: replaced
    listed = bodies_token.SavedListBody.model_validate(doors.ask("GET", "/v1/saved", lin).value)
    assert [each.number for each in listed.questions] == [again["number"]]
    gone = doors.ask("DELETE", f"/v1/saved/{again['number']}", lin)
    assert (gone.status, gone.value) == (200, again)
    assert doors.ask("GET", f"/v1/saved/{again['number']}", lin).status == 404
    assert len(logged(doors, "saved")) == 3


@pytest.mark.parametrize(
    "changed", [{"name": " "}, {"name": "x" * 101}, {"sql": "  "}, {"purpose": None}]
)
def test_what_cannot_be_kept_is_refused(doors, changed):
    lin = doors.token("lin", "drc", Role.ANALYST)
    seen = doors.ask("POST", "/v1/saved", lin, {**ASKED, **changed})
    assert (seen.status, seen.value["code"]) == (400, "Q040")
    assert logged(doors, "saved") == []


# --- inspection -----------------------------------------------------------------------------------------------------


def test_the_auditor_works_through_the_list_of_an_inspection(doors):
    seen = doors.ask("GET", "/v1/inspection", doors.by_role(Role.AUDITOR))
    found = {
        each.code: each for each in bodies_account.InspectionBody.model_validate(seen.value).checks
    }
    assert found["log"].good is True
    both = (found["log"].what_en, found["log"].what_zh)
    assert both == ("the audit log verifies", "审计日志校验通过")
    for role in set(Role) - {Role.AUDITOR}:
        assert doors.ask("GET", "/v1/inspection", doors.by_role(role)).status == 403
