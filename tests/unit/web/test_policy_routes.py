"""The life of a policy over REST: proposed, weighed in words, approved, published, restored, simulated."""

import asyncio

import pytest
from policy_world import configured, files, small_catalog

from middleplatform.model.record import AuditRecord
from middleplatform.model.request import Role
from middleplatform.web import bodies_policy as bodies
from tests.fakes.rest_world import governing

OFFICER, STEWARD = Role.SECURITY_OFFICER, Role.DEPARTMENT_STEWARD


@pytest.fixture
def doors(tmp_path):
    with governing(tmp_path, small_catalog(), configured()) as opened:
        yield opened


@pytest.fixture
def han(doors):
    return doors.token("han", "db", OFFICER)


def propose(doors, token, **more):
    return doors.ask(
        "POST", "/v1/policy/proposals", token, {"files": files(**more), "reason": "年度修订"}
    )


def published(doors, token, **more):
    number = propose(doors, token, **more).value["proposal"]["number"]
    return doors.ask("POST", f"/v1/policy/proposals/{number}/publish", token)


def test_what_tightens_is_published_by_one_officer_and_read_back(doors, han):
    proposed = propose(doors, han, tax=30)
    assert (proposed.status, proposed.headers["location"]) == (201, "/v1/policy/proposals/1")
    weighed = bodies.WeighedBody.model_validate(proposed.value)
    assert not weighed.missing.second_officer
    assert {each.direction for each in weighed.difference.changes} <= {"tightens", "other"}
    assert doors.ask("POST", "/v1/policy/proposals/1/publish", han).value == {"version": 1}
    listed = bodies.VersionsBody.model_validate(doors.ask("GET", "/v1/policy/versions", han).value)
    assert [each.number for each in listed.versions] == [1]
    one = bodies.VersionBody.model_validate(doors.ask("GET", "/v1/policy/versions/1", han).value)
    assert (one, one.published_by) == (listed.versions[0], "han")
    told = bodies.FilesBody.model_validate(
        doors.ask("GET", "/v1/policy/versions/1/files", han).value
    )
    assert (told.files, told.content) == (files(tax=30), one.content)
    analyst = doors.by_role(Role.ANALYST)
    now = bodies.PolicyBody.model_validate(doors.ask("GET", "/v1/policy", analyst).value)
    assert (now.number, now.digest) == (1, one.digest)


def test_what_loosens_waits_for_a_second_officer_and_the_owner(doors, han):
    published(doors, han, tax=30)
    weighed = bodies.WeighedBody.model_validate(propose(doors, han, tax=10, label="2").value)
    assert (weighed.missing.second_officer, weighed.missing.owners) == (True, ["tax"])
    at = f"/v1/policy/proposals/{weighed.proposal.number}"
    early = doors.ask("POST", f"{at}/publish", han)
    assert (early.status, early.value["code"]) == (409, "Q042")
    assert doors.ask("POST", f"{at}/approve", han, {}).value["code"] == "P004"
    lu, tax = doors.token("lu", "db", OFFICER), doors.token("steward_tax", "tax", STEWARD)
    once = doors.ask("POST", f"{at}/approve", lu, {"comment": "同意"})
    assert bodies.WeighedBody.model_validate(once.value).missing.owners == ["tax"]
    assert doors.ask("POST", f"{at}/approve", lu, {}).value["code"] == "Q042"
    wrong = doors.ask("POST", f"{at}/approve", doors.token("steward_ss", "ss", STEWARD), {})
    assert (wrong.status, wrong.value["code"]) == (403, "P004")
    whole = bodies.WeighedBody.model_validate(doors.ask("POST", f"{at}/approve", tax, {}).value)
    assert [each.capacity for each in whole.approvals] == ["second_officer", "data_owner"]
    assert doors.ask("POST", f"{at}/publish", lu).value == {"version": 2}
    back = doors.ask("POST", "/v1/policy/versions/1/restore", han, {"reason": "有误"})
    assert bodies.RollbackBody.model_validate(back.value).version == 3
    assert [each.record.body["action"] for each in doors.gateway.audit.entries()] == [
        "proposed", "published", "proposed", "approved", "approved", "published", "proposed", "rolled_back",
    ]  # fmt: skip


def test_the_words_follow_the_language_and_page(doors, han):
    propose(doors, han, tax=30, ga=30)
    chinese = doors.ask("GET", "/v1/policy/proposals/1", han, headers=[("Accept-Language", "zh")])
    assert "收紧" in chinese.value["difference"]["summary"]
    whole = doors.ask("GET", "/v1/policy/proposals/1", han).value["difference"]
    assert whole["size"] == len(whole["changes"]) > 1
    after, found = 0, []
    while after is not None:
        part = doors.ask("GET", f"/v1/policy/proposals/1?after={after}&limit=1", han).value
        found += part["difference"]["changes"]
        after = part["difference"]["next"]
    assert found == whole["changes"]


def test_versions_are_compared_and_lists_page_and_filter(doors, han):
    published(doors, han, tax=30)
    propose(doors, han, ga=30, tax=30, label="2")
    doors.ask("POST", "/v1/policy/proposals/2/withdraw", han, {})
    published(doors, han, ga=40, tax=30, label="3")
    forth, back = (
        doors.ask("GET", f"/v1/policy/diff?old={old}&new={new}", han).value
        for old, new in ((0, 2), (2, 0))
    )
    bodies.DifferenceBody.model_validate(forth)
    assert {each["direction"] for each in forth["changes"]} == {"tightens", "other"}
    assert {each["direction"] for each in back["changes"]} == {"loosens", "other"}
    assert (back["owners"], forth["owners"]) == (["ga", "tax"], [])
    first = doors.ask("GET", "/v1/policy/proposals?limit=2", han).value
    rest = doors.ask("GET", f"/v1/policy/proposals?after={first['next']}", han).value
    assert [each["number"] for each in first["proposals"] + rest["proposals"]] == [1, 2, 3]
    assert rest["next"] is None
    gone = doors.ask("GET", "/v1/policy/proposals?state=withdrawn", han).value["proposals"]
    assert [each["number"] for each in gone] == [2]
    assert doors.ask("GET", "/v1/policy/proposals?state=lost", han).value["code"] == "Q040"


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"manifest.yaml": "name: ["}, 422, "C001"),
        (files(expect="permit"), 422, "C001"),
        (files(suite=False), 422, "C001"),
        ({}, 400, "Q040"),
        ({"../manifest.yaml": "name: x"}, 400, "Q040"),
        ({"manifest.yaml": "a\0b"}, 400, "Q040"),
        ({"manifest.txt": "x"}, 400, "Q040"),
        ({f"{number}.yaml": "" for number in range(257)}, 400, "Q040"),
    ],
)
def test_files_that_are_no_bundle_are_the_callers_fault(doors, han, given, status, code):
    answer = doors.ask("POST", "/v1/policy/proposals", han, {"files": given, "reason": "x"})
    assert (answer.status, answer.value["code"]) == (status, code)
    assert doors.ask("GET", "/v1/policy/proposals", han).value["proposals"] == []


def test_a_bundle_may_be_longer_than_a_question(doors, han):
    long = files(tax=30, note="# " + "x" * 200_000 + "\n")
    assert (
        doors.ask("POST", "/v1/policy/proposals", han, {"files": long, "reason": "x"}).status == 201
    )
    body = {"sql": "x" * 200_000, "purpose": "statistics"}
    assert doors.ask("POST", "/v1/queries", doors.by_role(Role.ANALYST), body).status == 413
    huge = files(tax=30, note="# " + "x" * 8_400_000 + "\n")
    assert (
        doors.ask("POST", "/v1/policy/proposals", han, {"files": huge, "reason": "x"}).status == 413
    )


def test_a_refusal_is_for_good_and_needs_its_reason(doors, han):
    propose(doors, han, tax=30)
    lu = doors.token("lu", "db", OFFICER)
    assert doors.ask("POST", "/v1/policy/proposals/1/reject", lu, {"comment": " "}).status == 400
    gone = doors.ask("POST", "/v1/policy/proposals/1/reject", lu, {"comment": "依据不足"})
    body = bodies.ProposalBody.model_validate(gone.value)
    assert (body.state, body.closed_by, body.comment) == ("rejected", "lu", "依据不足")
    again = doors.ask("POST", "/v1/policy/proposals/1/publish", han)
    assert (again.status, again.value["code"]) == (409, "Q042")
    shown = doors.ask("GET", "/v1/policy/proposals/1/files", han).value
    assert shown["files"] == files(tax=30)


def ask_one(doors, number):
    """Enter a question into the log as the gateway does, and that it was answered."""
    at = doors.clock.now().isoformat()
    common = {"query_id": f"{number:032x}", "at": at, "subject": "lin", "department": "drc"}
    doors.gateway.audit.append(AuditRecord("received", {
        **common, "roles": ["analyst"], "regions": ["*"], "purpose": "statistics", "project": "drc",
        "recipient": "", "strict": False, "sql": "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code",
    }))  # fmt: skip


def test_audited_questions_are_judged_again_with_progress(doors, han):
    for number in range(3):
        ask_one(doors, number)
    doors.clock.advance(minutes=5)

    async def scene(body):
        started = await doors.send("POST", "/v1/policy/simulations?wait=20", han, body)
        where = started.headers["location"]
        return started, await doors.send("GET", where, han), await doors.send("DELETE", where, han)

    closed = files(label="2")
    closed["columns.yaml"] = closed["columns.yaml"].replace(
        "region_code: {}", "region_code: {use: denied}"
    )
    started, shown, ended = asyncio.run(scene({"files": closed, "window": "1d"}))
    assert (started.status, shown.status) == (202, 200)
    status = bodies.SimulationStatus.model_validate(shown.value)
    assert (status.status, status.done, status.total) == ("finished", 1, 1), "one text"
    assert (status.result.questions, status.result.judged, status.result.size) == (3, 3, 3)
    assert status.result.counts["allow_to_deny"] == 3
    assert status.result.by_analyst[0].name == "lin"
    assert ended.value == shown.value


@pytest.mark.parametrize(
    "body",
    [{}, {"proposal": 1, "version": 1}, {"files": {"a.yaml": ""}, "window": "soon"},
     {"files": {"a.yaml": ""}, "now": "tomorrow"}, {"proposal": 7}, {"version": 7}],
)  # fmt: skip
def test_a_simulation_of_nothing_is_refused(doors, han, body):
    answer = doors.ask("POST", "/v1/policy/simulations", han, body)
    assert answer.status in (400, 404)
    assert answer.value["code"] in ("Q040", "Q041")
