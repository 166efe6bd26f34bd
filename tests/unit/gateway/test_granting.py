"""A grant that people give is in force at once, and one that they stop reaches questions that are already running."""

from dataclasses import replace
from datetime import timedelta

import made_platform
import made_world as made
import pytest
from sqlalchemy import text

from middleplatform.errors import MiddleplatformError
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer
from middleplatform.governance.desk import Desk
from middleplatform.governance.granted import as_written, granted
from middleplatform.governance.grants_in_force import GrantsInForce, with_grants
from middleplatform.governance.handling import Handling
from middleplatform.governance.terms import Rules
from middleplatform.model.catalog import Sharing
from middleplatform.model.request import Role, Subject
from middleplatform.policy import grants, regulation
from middleplatform.store.database import Store

SUM = "SELECT sex, SUM(education) AS s FROM ga.person GROUP BY sex"
OPEN = "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex"
PUBLISHED = made.with_column(made.BUNDLE, "ga.person", "education", sharing=Sharing.CONDITIONAL)
HEAD = Subject("head", "drc", frozenset({Role.DEPARTMENT_STEWARD}))
BUREAU = Subject("bureau", "db", frozenset({Role.DATA_BUREAU}))
OFFICER = Subject("officer", "db", frozenset({Role.SECURITY_OFFICER}))
OWNER = made.STEWARD
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics", "subjects": ["li"],
    "columns": ["ga.person.education"], "operations": ["aggregate"], "ends": "2026-12-31",
}  # fmt: skip
AS_YAML = {
    "id": "GX1/ga", "departments": ["drc"], "purposes": ["statistics"], "columns": ["ga.person.education"],
    "operations": ["aggregate"], "regions": ["*"], "starts": "2026-01-01", "ends": "2027-01-01", "basis": "统计法",
}  # fmt: skip


def knowing(bundle):
    """Return ``bundle`` with the grant written down, as a department's node has it."""
    return replace(bundle, grants=(*bundle.grants, grants.build(AS_YAML)))


class World:
    """A platform whose gateway has a store, and a department whose node knows grant GX1/ga."""

    def __init__(self, platform, store):
        self.platform, self.store, self.first = platform, store, len(platform.entries())
        platform.gateway.grants = GrantsInForce(store)
        desk = Desk(store, platform.clock, made_platform.SeededRng("acts"), platform.audit)
        self.handling = Handling(desk, PUBLISHED, Rules(regulation.load()))

    def granted(self):
        state = self.handling.apply(WISH, HEAD)
        assert state.number == "GX1"
        self.handling.act(1, BUREAU, lambda s, now: acts.accept(s, BUREAU, now))
        wanted = state.application
        given = Answer(frozenset(WISH["columns"]), wanted.operations, wanted.regions, wanted.ends)
        return self.handling.act(1, OWNER, lambda s, now: acts.answer(s, given, OWNER, now))

    def suspend(self):
        self.handling.act(1, OFFICER, lambda s, now: stopping.suspend(s, "核查", OFFICER, now))

    def code(self, sql=SUM):
        try:
            self.platform.ask(sql)
        except MiddleplatformError as error:
            return error.code, error.rule
        return "answered", ""

    def entries(self):
        return self.platform.entries()[self.first :]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    folder, rows = tmp_path_factory.mktemp("platform"), made_platform.complete_rows()
    with made_platform.Platform(folder, knowing(PUBLISHED), rows) as platform:
        yield platform


@pytest.fixture
def world(nodes, tmp_path):
    """Return a world with a new store and nothing that an earlier test has put anywhere."""
    nodes.gateway.bundle, nodes.clock.moment = PUBLISHED, made.NOW
    nodes.nodes["ga"].bundle = knowing(PUBLISHED)
    nodes.use_link(nodes.links["ga"])
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield World(nodes, store)


class MeanwhileLink:
    """A department that answers as it would, after something has happened elsewhere."""

    department = "ga"

    def __init__(self, link, happens):
        self.link, self.happens = link, happens

    async def answer(self, raw, signature):
        self.happens()
        return await self.link.answer(raw, signature)


def test_a_grant_holds_once_given_until_it_is_suspended_and_again_after(world):
    assert world.code() == ("P003", "G1")
    world.granted()
    assert world.code() == ("answered", "")
    assert world.entries()[-1][1]["grants"] == ["GX1/ga"]
    assert world.entries()[-1][1]["policy_digest"] == PUBLISHED.digest
    world.suspend()
    assert world.code() == ("P003", "G1")
    world.handling.act(1, OFFICER, lambda s, now: stopping.resume(s, "已核实", OFFICER, now))
    assert world.code() == ("answered", "")


def test_what_each_grant_says_stands_in_the_log_before_any_answer_that_rests_on_it(world):
    world.granted()
    world.code()
    entries = world.entries()
    place = next(n for n, (event, _) in enumerate(entries) if event == "released")
    said = [each for event, body in entries[:place] if event == "grant" for each in body["events"]]
    assert [each["act"] for each in said] == ["submitted", "signed", "accepted", "answered"]
    assert said[-1]["answer"]["columns"] == ["ga.person.education"]


def test_an_answer_that_is_ready_when_its_grant_is_suspended_does_not_leave(world):
    world.granted()
    world.platform.use_link(MeanwhileLink(world.platform.links["ga"], world.suspend))
    assert world.code() == ("P003", "G1")
    assert world.entries()[-1][0] == "refused"
    assert "released" not in [event for event, _ in world.entries()]


def test_an_answer_that_is_ready_when_its_grant_has_ended_does_not_leave(world):
    world.granted()

    class Slow(MeanwhileLink):
        async def answer(self, raw, signature):
            told = await self.link.answer(raw, signature)
            self.happens()
            return told

    def year_passes():
        world.platform.clock.moment += timedelta(days=400)

    world.platform.use_link(Slow(world.platform.links["ga"], year_passes))
    assert world.code() == ("P003", "G1")


def test_a_question_that_needs_no_grant_is_not_touched_by_a_suspension(world):
    world.granted()
    world.platform.use_link(MeanwhileLink(world.platform.links["ga"], world.suspend))
    assert world.code(OPEN) == ("answered", "")


def test_a_department_whose_node_does_not_know_the_grant_refuses(world):
    world.granted()
    world.platform.nodes["ga"].bundle = PUBLISHED
    assert world.code() == ("X003", "G1")


def test_while_the_store_cannot_be_read_no_application_grant_holds_and_the_rest_is_answered(world):
    world.granted()
    with world.store.writing() as connection:
        connection.execute(text("ALTER TABLE application_events RENAME TO gone"))
    assert world.code() == ("P003", "G1")
    assert world.code(OPEN) == ("answered", "")


def test_a_copy_of_the_grant_in_the_policy_itself_ends_with_the_application(world):
    world.platform.gateway.bundle = knowing(PUBLISHED)
    assert world.code() == ("P003", "G1")  # no application GX1 at all
    world.granted()
    assert world.code() == ("answered", "")
    world.suspend()
    assert world.code() == ("P003", "G1")


def test_another_purpose_person_or_department_gets_nothing(world):
    world.granted()
    joined = world.platform.gateway.grants.joined(PUBLISHED, made.NOW + timedelta(hours=1))
    new = [each for each in joined.grants if each not in PUBLISHED.grants]
    assert [(each.subjects, each.departments, each.purposes) for each in new] == [
        (frozenset({"li"}), frozenset({"drc"}), frozenset({"statistics"}))
    ]
    with pytest.raises(MiddleplatformError) as refused:
        world.platform.ask(SUM, subject=made.COUNTY)
    assert refused.value.rule == "G1"


def test_a_dataset_that_changed_hands_or_a_column_that_was_denied_takes_its_grant_along(world):
    state = world.granted()
    each = granted(state)
    assert grants.build(as_written(state, each[0])) == each[0].grant
    now = made.NOW + timedelta(hours=1)
    assert len(with_grants(PUBLISHED, each, now).grants) == len(PUBLISHED.grants) + 1
    moved = made.with_dataset(PUBLISHED, "ga.person", owner="tax")
    denied = made.with_column(PUBLISHED, "ga.person", "education", sharing=Sharing.NOT_SHARED)
    assert with_grants(moved, each, now) is moved
    assert with_grants(denied, each, now) is denied
    assert with_grants(PUBLISHED, each, state.application.ends) is PUBLISHED
