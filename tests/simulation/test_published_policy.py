"""What is published in a running gateway's store is what its departments' nodes judge the next question by, each a
process of its own: no restart, no copying, no half state; what a node does not believe it refuses, and says so in its log.
"""

import asyncio
import json
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import yaml
from dying_node import STEPS, dying
from node_world import PEOPLE, SCORES, NodeWorld, duckdb_sources

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.crypto.identity import IdentityKey
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.granting import InForce, PublishedOnly
from middleplatform.governance import acts, stopping
from middleplatform.governance.applications import Answer
from middleplatform.governance.examined import loaded
from middleplatform.governance.granted import granted
from middleplatform.governance.grants_in_force import with_all
from middleplatform.governance.handling import Handling
from middleplatform.governance.terms import Rules
from middleplatform.governance.watching import watch
from middleplatform.governance.written import write_folder
from middleplatform.node.desk_client import read
from middleplatform.policy import regulation
from middleplatform.policy.examples import example
from middleplatform.settings import Settings
from middleplatform.wire.policies import POLICY, GrantsDocument, PolicyDocument

COUNTIES = ["amr_990101", "amr_990102"]
SEX = "SELECT sex, COUNT(*) AS n FROM ga.population GROUP BY sex"
YEARS = "SELECT region_code, SUM(education_years) AS y FROM ga.population GROUP BY region_code"
BORN = "SELECT birth_year, COUNT(*) AS n FROM ga.population GROUP BY birth_year"
KEPT = ("manifest.yaml", "purposes.yaml", "limits.yaml", "disclosure.yaml", "personas.yaml")
DATASETS = ("ga.population", "amr_county.enterprise", "amr_county.inspection")
SUITE = """suite: small
cases:
  - {id: name, persona: analyst_drc, purpose: statistics, sql: SELECT name FROM ga.population, expect: refuse, rule: R1}
"""
OFFICER, SECOND, OWNER, BUREAU = (PERSONAS[name] for name in ("officer_a", "officer_b", "steward_ga", "bureau"))  # fmt: skip


class Parties(NodeProcesses):
    """Nodes of the program that ends itself when it is told to."""

    @staticmethod
    def program(_department):
        return [sys.executable, str(Path(dying.__code__.co_filename)), "node"]


def shipped():
    return Path(str(example("demo")))


@cache
def small():
    """Return the shipped bundle's files about a few datasets: less to compare at each publication."""
    found = {name: (shipped() / name).read_text(encoding="utf-8") for name in KEPT}
    columns = yaml.safe_load((shipped() / "columns.yaml").read_text(encoding="utf-8"))
    columns["datasets"] = {name: columns["datasets"][name] for name in DATASETS}
    granted = yaml.safe_load((shipped() / "grants.yaml").read_text(encoding="utf-8"))
    for each in granted["grants"]:
        each["columns"] = [name for name in each["columns"] if name.rpartition(".")[0] in DATASETS]
    granted["grants"] = [each for each in granted["grants"] if each["columns"]]
    return found, columns, granted


def bundle(label, **changed):
    """Return the files of a bundle in which some columns of the population are otherwise."""
    found, columns, granted = small()
    people = columns["datasets"]["ga.population"]
    people = people | {"columns": people["columns"] | changed}
    columns = {"datasets": columns["datasets"] | {"ga.population": people}}
    return {
        **found,
        "manifest.yaml": found["manifest.yaml"].replace('"2026.1"', f'"{label}"'),
        "columns.yaml": yaml.safe_dump(columns, allow_unicode=True),
        "grants.yaml": yaml.safe_dump(granted, allow_unicode=True),
        "small_test.yaml": SUITE,
    }


class Published(NodeWorld):
    """A gateway with a store, and its nodes."""

    @property
    def life(self):
        return self.platform.lifecycle

    def code(self, sql, who="analyst_drc"):
        """Ask, and return the error's code and rule; empty where it is answered."""
        gateway = self.platform.gateway
        request = gateway.request(sql, PERSONAS[who], "statistics")
        try:
            asyncio.run(gateway.submit(request))
        except MiddleplatformError as error:
            return error.code, error.rule
        return "", ""

    def publish(self, files):
        """Publish while the gateway watches the store, as ``serve`` does; return the version."""

        async def published():
            there = asyncio.Event()

            def put(found):
                self.platform.publish(found)
                there.set()

            watching = asyncio.create_task(watch(self.life, self.life.standing(), put, 0.02))
            number = await asyncio.to_thread(self.life.propose, OFFICER, files, "a test")
            for person in (SECOND, OWNER):
                if self.life.weigh(number).missing:
                    await asyncio.to_thread(self.life.approve, person, number)
            version = await asyncio.to_thread(self.life.publish, OFFICER, number)
            await there.wait()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            return version

        return asyncio.run(published())

    def spread(self):
        """Do once what ``serve`` does each 0.4 seconds."""
        self.platform.telling.look()
        asyncio.run(self.platform.gateway.dispatcher.tell())

    def status(self, department):
        return json.loads(read(self.processes.socket(department), department, "/status"))["policy"]

    def sent(self, name, *parts):
        """Send a node a message of the gateway's; return the code of its refusal."""
        link = self.platform.gateway.dispatcher.link("ga")
        try:
            asyncio.run(link.call(name, parts))
        except MiddleplatformError as error:
            return error.code
        return ""

    def events(self, department, event):
        with self._log(department) as log:
            return [each.record.body for each in log.entries() if each.record.event == event]


def own_copies(root):
    """Return folders of catalogue and bundle in which two counties hold what six do: fewer processes to start."""
    catalog = root / "catalog"
    catalog.mkdir()
    six = ", ".join(f"amr_9901{place:02}" for place in range(1, 7))
    for name in ("departments.yaml", "ga.yaml", "amr.yaml"):
        text = (shipped() / "catalog" / name).read_text(encoding="utf-8")
        (catalog / name).write_text(text.replace(six, ", ".join(COUNTIES)), encoding="utf-8")
    write_folder(bundle("2026.1"), root / "bundle")
    return catalog, root / "bundle"


@pytest.fixture(scope="module")
def world(demo_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    catalog, own = own_copies(root)
    known = catalogs.load(catalog)
    rules = policies.load(own, known)
    sources = {
        name: replace(spec, catalog=known, bundle=rules)
        for name, spec in duckdb_sources(demo_data, ["ga", *COUNTIES]).items()
    }
    processes = Parties(root, sources, catalog=catalog, bundle=own)
    with ExitStack() as held:
        held.enter_context(processes)
        processes.start(SystemClock(), SystemRng(), lambda *_: None)
        settings = Settings(
            state=root / "platform", deadline_s=20, trust=processes.trust, catalog=catalog,
            bundle=own,
        )  # fmt: skip
        yield Published(processes, held.enter_context(open_platform(settings, governed=True)))


@pytest.fixture(scope="module")
def first(world):
    """Publish version 1, which closes a column, and return its number."""
    assert world.code(SEX) == ("", "")
    assert world.status("ga")["version"] == 0
    closed = bundle("1", sex={"use": "denied"})
    return world.publish(closed)


def test_the_next_question_runs_under_the_new_version_at_gateway_and_node(world, first):
    assert first == 1
    assert world.code(SEX)[0] == "P001"
    assert world.code(PEOPLE) == ("", "")
    told = world.status("ga")
    assert (told["version"], told["digest"]) == (1, world.platform.gateway.bundle.digest)
    ran = world.events("ga", "released")[-1]
    assert ran["gateway_policy_digest"] == ran["policy_digest"] == told["digest"]
    (taken,) = [each for each in world.events("ga", "policy") if each["action"] == "taken"]
    assert (taken["version"], taken["digest"]) == (1, told["digest"])


@pytest.mark.usefixtures("first")
def test_a_round_of_departments_needs_no_copying(world):
    assert world.code(SCORES) == ("", "")
    assert {world.status(name)["version"] for name in COUNTIES} == {1}


@pytest.mark.usefixtures("first")
def test_the_node_itself_refuses_what_the_new_version_closes(world):
    with lying(world):
        assert world.code(SEX) == ("X003", "R1")


@contextmanager
def lying(world):
    """Have the gateway judge by its configured rules, and say that it was by those in force."""
    gateway = world.platform.gateway
    was, grants = gateway.bundle, gateway.grants
    gateway.bundle = replace(world.life._configured, digest=was.digest)
    gateway.grants = PublishedOnly()
    try:
        yield
    finally:
        gateway.bundle, gateway.grants = was, grants


@pytest.mark.usefixtures("first")
def test_what_is_forged_old_or_tampered_with_is_refused_with_one_code_and_logged(world):
    (signed,) = world.platform.telling.policies(0)
    key = world.platform.gateway.dispatcher.identity
    document = PolicyDocument.from_bytes(signed.raw)
    stranger = IdentityKey.generate(SystemRng())
    other = replace(document, at=document.at + timedelta(days=1), number=1, files=bundle("x"))
    sent = {
        "forged": (signed.raw, stranger.sign(POLICY, signed.raw)),
        "tampered": (signed.raw.replace(b"denied", b"key   "), signed.signature),
        "for another purpose": (signed.raw, key.sign("fragment", signed.raw)),
        "not itself": (other.to_bytes(), key.sign(POLICY, other.to_bytes())),
    }
    before = len(world.events("ga", "refused"))
    for what, parts in sent.items():
        assert world.sent("policy", *parts) == "X009", what
    assert [each["code"] for each in world.events("ga", "refused")[before:]] == ["X009"] * len(sent)
    assert world.sent("policy", signed.raw, signed.signature) == ""  # once more does no harm
    assert world.status("ga")["version"] == 1


@pytest.mark.usefixtures("first")
def test_grants_reach_the_node_and_leave_it_when_they_are_stopped(world):
    assert world.code(YEARS, "visitor") == ("P003", "G1")
    desk, bundle_now = world.life.desk, world.platform.gateway.bundle
    handling = Handling(desk, bundle_now, Rules(regulation.load()))
    wish = {
        "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
        "subjects": ["visitor"], "columns": ["ga.population.education_years", "ga.population.id_number"],
        "operations": ["aggregate", "count", "group"],
        "ends": f"{SystemClock().now() + timedelta(days=30):%Y-%m-%d}",
    }  # fmt: skip
    state = handling.apply(wish, PERSONAS["steward_amr"])
    number = int(state.number.removeprefix("GX"))
    handling.act(number, BUREAU, lambda s, now: acts.accept(s, BUREAU, now))
    wanted, part = state.application, state.parts["ga"]
    given = Answer(part.columns, wanted.operations, wanted.regions, wanted.ends)
    state = handling.act(number, OWNER, lambda s, now: acts.answer(s, given, OWNER, now))
    assert world.code(YEARS, "visitor") == ("", "")
    handling.act(number, OFFICER, lambda s, now: stopping.suspend(s, "核查", OFFICER, now))
    world.spread()
    knowing = world.platform.gateway.grants
    try:
        world.platform.gateway.grants = Stale(granted(state))
        assert world.code(YEARS, "visitor") == ("X003", "G1")
    finally:
        world.platform.gateway.grants = knowing


class Stale(PublishedOnly):
    """A gateway that goes on with grants that were stopped."""

    def __init__(self, grants):
        self.grants = grants

    def in_force(self, bundle, _now):
        return InForce(with_all(bundle, self.grants), ())


@pytest.mark.usefixtures("first")
def test_old_grants_are_refused(world):
    signed = world.platform.telling.grants(0)
    document = GrantsDocument.from_bytes(signed.raw)
    key = world.platform.gateway.dispatcher.identity
    older = replace(document, number=document.number - 1).to_bytes()
    world.spread()
    assert world.sent("grants", older, key.sign("grants document v1", older)) == "X009"


@pytest.fixture(scope="module")
def second(world, first):
    """Publish version 2, which opens the column again, and years of birth that the department's own file bands."""
    assert first == 1
    return world.publish(bundle("2", birth_year={}))


def test_a_version_that_loosens_the_own_file_is_taken_and_judged_by_the_stricter(world, second):
    assert world.code(SEX) == ("", "")
    assert world.code(BORN) == ("X003", "R4")
    told = world.status("ga")
    assert told["version"] == second
    assert told["stricter"] == ["datasets.ga.population.columns.birth_year.generalise"]
    taken = [each for each in world.events("ga", "policy") if each["action"] == "taken"][-1]
    assert taken["stricter"] == told["stricter"]
    assert world.events("ga", "released")[-1]["policy_digest"] == taken["enforced"]


@pytest.mark.usefixtures("second")
def test_an_older_version_is_refused_but_a_question_that_began_under_it_is_answered(world):
    files = world.life.files(1)
    older = PolicyDocument(1, world.life.versions()[0].content, "", world.life.versions()[0].at, files)  # fmt: skip
    key = world.platform.gateway.dispatcher.identity
    assert world.sent("policy", older.to_bytes(), key.sign(POLICY, older.to_bytes())) == "X009"
    gateway = world.platform.gateway
    now = gateway.bundle
    try:
        gateway.bundle = loaded(files, world.life.catalog)
        assert world.code(PEOPLE) == ("", "")
        assert world.code(SCORES) == ("", "")
        gateway.bundle = replace(now, digest="0" * 64)
        assert world.code(PEOPLE) == ("X003", "R0")
    finally:
        gateway.bundle = now


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize("step", STEPS)
def test_a_node_killed_while_it_takes_a_version_has_the_old_one_or_the_new_one(world, step):
    before = world.status("ga")["version"]
    dying(world.state("ga"), step)
    version = world.publish(bundle(f"after {step}"))
    assert world.code(PEOPLE)[0] == "S001"
    world.processes.process("ga").wait(20)
    world.restart("ga")
    assert world.status("ga")["version"] == (version if step == "written" else before)
    assert world.code(PEOPLE) == ("", "")
    assert world.status("ga")["version"] == version
    taken = [each["version"] for each in world.events("ga", "policy") if each["action"] == "taken"]
    assert version in taken


@pytest.mark.usefixtures("second")
def test_a_node_that_has_lost_its_documents_is_sent_them_again(world):
    world.kill("ga")
    for path in (world.state("ga") / "policy").iterdir():
        path.unlink()
    world.restart("ga")
    assert world.status("ga")["version"] == 0
    handed = world.platform.gateway.dispatcher.link("ga").handed
    assert asyncio.run(
        handed.lost()
    )  # what is asked after a refusal, and told with the next grants
    assert world.code(PEOPLE) == ("", "")
    assert world.status("ga")["version"] == world.life.standing().number
