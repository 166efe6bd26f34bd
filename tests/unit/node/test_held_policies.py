"""What a node takes as policy: signed, in sequence, loadable; the stricter of it and the own file; whole after any end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from doors import CountingRng, HandClock
from policy_world import configured, files, small_catalog

from middleplatform.access.system import SystemRng
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.errors import AuditError, ConfigError, ProtocolError
from middleplatform.governance.examined import loaded
from middleplatform.model.policy import Grant
from middleplatform.model.request import Role, Subject
from middleplatform.node.held_policies import KEPT_S, HeldPolicies
from middleplatform.policy.written import content_digest
from middleplatform.wire.policies import GRANTS, POLICY, GrantsDocument, PolicyDocument

KEY = IdentityKey.generate(CountingRng())
PINS = PinnedKeys({"gateway": KEY.public_key})
AT = datetime(2026, 3, 1, tzinfo=UTC)
GA = "ga.population"
WHO = Subject("li", "drc", frozenset({Role.ANALYST}), ("*",))


class Desk:
    """The policies of one node, over and over again from one folder."""

    def __init__(self, folder=None, own=None, department="ga", *, trusting=False, own_grants=False):
        self.clock, self.events, self.full = HandClock(), [], False
        self.given = (
            department,
            small_catalog(),
            own or configured(),
            PINS,
            self.clock,
            self.enter,
        )
        self.how = {"folder": folder, "trusting": trusting, "own_grants": own_grants}
        self.open()

    def open(self):
        self.held = HeldPolicies(*self.given, **self.how)

    def enter(self, fields):
        if self.full:
            raise AuditError("A001")
        self.events.append(fields)

    def take(self, found):
        raw = found.to_bytes()
        return self.held.take(raw, KEY.sign(POLICY, raw))

    def take_grants(self, found):
        raw = found.to_bytes()
        return self.held.take_grants(raw, KEY.sign(GRANTS, raw))

    def units(self, dataset=GA):
        return self.held.newest.rules.merged.datasets[dataset].disclosure.min_units


def document(number, before="", at=AT, **how):
    found = files(**how)
    previous = content_digest(before) if before else ""
    return PolicyDocument(number, content_digest(found), previous, at, found)


def refused(desk, raw, signature, take="take"):
    """Return whether it is refused by the one code, and leaves everything as it was."""
    was, events = desk.held.newest, len(desk.events)
    with pytest.raises(ProtocolError) as error:
        getattr(desk.held, take)(raw, signature)
    return (error.value.code, desk.held.newest is was, len(desk.events) == events) == ("X009", True, True)  # fmt: skip


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "policy")


def test_a_version_is_entered_enforced_and_there_again_after_a_restart(desk):
    assert desk.held.number == 0
    assert desk.take(document(1, ga=30))
    (entered,) = desk.events
    digest = loaded(files(ga=30), small_catalog()).digest
    assert (entered["version"], entered["digest"], entered["stricter"]) == (1, digest, [])
    assert (desk.units(), desk.held.newest.rules.merged.digest) == (30, digest)
    desk.open()
    assert (desk.held.number, desk.units(), desk.held.newest.digest) == (1, 30, digest)
    assert not desk.take(document(1, ga=30))  # the same once more
    assert len(desk.events) == 1


def test_what_is_looser_than_the_own_file_is_taken_and_judged_by_the_stricter(desk):
    assert desk.take(document(1, ga=10, tax=10))
    points = [f"datasets.{name}.disclosure.min_units" for name in (GA, "tax.individual_income")]
    assert desk.held.status()["stricter"] == points
    assert desk.events[0]["stricter"] == points
    assert desk.units() == 20
    rules = desk.held.newest.rules
    assert rules.merged.digest == desk.held.status()["own_digest"] != rules.document.digest


def test_inside_the_gateways_process_the_published_version_is_all(tmp_path):
    desk = Desk(trusting=True)
    assert desk.take(document(1, ga=10))
    assert desk.units() == 10
    assert not list(tmp_path.iterdir())


def test_only_what_the_gateway_signed_for_this_is_taken(desk):
    raw = document(1).to_bytes()
    other = IdentityKey.generate(SystemRng())
    good = KEY.sign(POLICY, raw)
    assert refused(desk, raw, other.sign(POLICY, raw))
    assert refused(desk, raw, KEY.sign("fragment", raw))
    assert refused(desk, raw, KEY.sign(GRANTS, raw))
    assert refused(desk, raw.replace(b"analyst", b"auditor"), good)
    assert refused(desk, raw, good[:-1])
    assert refused(desk, raw, b"")
    for wrong in (b"", b"{}", raw + b" ", raw[:-1], b"[" * 100_000, raw.replace(b'"number":1', b'"number":true')):  # fmt: skip
        assert refused(desk, wrong, KEY.sign(POLICY, wrong))
    lying = replace(document(1), content="0" * 64).to_bytes()
    assert refused(desk, lying, KEY.sign(POLICY, lying))


def test_no_way_leads_back_but_a_new_version(desk):
    first, second = document(1, ga=30), document(2, files(ga=30), ga=40)
    desk.take(first)
    desk.take(second)
    for wrong in (first, document(2, files(ga=30), ga=50), document(1, ga=50)):
        raw = wrong.to_bytes()
        assert refused(desk, raw, KEY.sign(POLICY, raw))
    assert desk.take(document(3, files(ga=40), ga=30))
    assert desk.units() == 30


def test_a_version_must_follow_the_one_before_where_that_is_held(desk):
    desk.take(document(1, ga=30))
    raw = document(2, files(ga=31), ga=40).to_bytes()
    assert refused(desk, raw, KEY.sign(POLICY, raw))
    assert desk.take(document(4, files(ga=31), ga=40))  # 2 and 3 never came


@pytest.mark.parametrize(
    "columns",
    [
        "datasets: {ga.nothing: {purposes: [], columns: {}}}\n",
        "datasets: " + "[" * 20_000,
        "datasets: " + "{a: " * 3_000 + "}" * 3_000,
        "datasets: &a [*a]",
        "\x00",
    ],
)
def test_what_does_not_load_over_the_own_catalogue_is_refused(desk, columns):
    desk.take(document(1, ga=30))
    given = files(ga=40) | {"columns.yaml": columns}
    raw = PolicyDocument(2, content_digest(given), content_digest(files(ga=30)), AT, given).to_bytes()  # fmt: skip
    assert refused(desk, raw, KEY.sign(POLICY, raw))


def test_a_question_keeps_the_version_that_it_began_under_for_a_while(desk):
    own = configured().digest
    assert desk.held.find("anything").number == 0  # nothing came: there is one policy
    desk.take(document(1, ga=30))
    first = desk.held.newest.digest
    desk.take(document(2, files(ga=30), ga=40))
    assert desk.held.find(desk.held.newest.digest).number == 2
    assert (desk.held.find(first).number, desk.held.find(own).number) == (1, 0)
    assert desk.held.find("0" * 64) is None
    desk.open()
    assert desk.held.find(first).number == 1
    desk.clock.moment += timedelta(seconds=KEPT_S + 1)
    assert desk.held.find(first) is None
    assert desk.held.find(own) is None


def test_a_log_that_cannot_take_the_entry_keeps_the_old_version(desk, tmp_path):
    desk.full = True
    with pytest.raises(AuditError):
        desk.take(document(1, ga=30))
    assert desk.held.number == 0
    assert not list((tmp_path / "policy").iterdir())
    desk.full = False
    assert desk.take(document(1, ga=30))


def test_a_disk_that_cannot_take_the_file_keeps_the_old_version(desk, tmp_path):
    (tmp_path / "policy").rmdir()
    with pytest.raises(ConfigError):
        desk.take(document(1, ga=30))
    assert desk.held.number == 0


def test_where_the_newest_version_no_longer_loads_nothing_is_answered_until_a_newer_one_comes(
    desk, tmp_path
):
    desk.take(document(1, ga=30))
    desk.take(document(2, files(ga=30), ga=40))
    path = max((tmp_path / "policy").glob("*.version"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    desk.open()
    assert desk.held.newest is None
    assert desk.held.find(loaded(files(ga=30), small_catalog()).digest) is None
    assert desk.held.status() == {"version": 0, "refusing": True}
    raw = document(1, ga=30).to_bytes()
    assert refused(desk, raw, KEY.sign(POLICY, raw))
    assert desk.take(document(2, files(ga=30), ga=40))
    assert desk.units() == 40


def test_files_of_versions_that_nobody_can_name_are_removed(desk, tmp_path):
    for number in range(1, 5):
        before = files(ga=29 + number) if number > 1 else ""
        desk.take(document(number, before, ga=30 + number))
        desk.clock.moment += timedelta(seconds=KEPT_S + 1)
    names = sorted(path.stem for path in (tmp_path / "policy").glob("*.version"))
    assert [int(name) for name in names] == [3, 4]


# --- grants -----------------------------------------------------------------------------------------------------------


def grants(clock, *given, ahead=0, seconds=300):
    number = int(clock.now().timestamp() * 1_000_000) + ahead
    return GrantsDocument(number, clock.now() + timedelta(seconds=seconds), given)


def grant(number="GX1/ga", column="region_code"):
    return Grant(
        number, frozenset({"drc"}), frozenset(), frozenset({"statistics"}),
        frozenset({f"{GA}.{column}"}), frozenset({"group"}), ("*",),
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC), "统计法",
    )  # fmt: skip


def named(desk):
    """Return the numbers of the grants in force, by every bundle that is asked."""
    rules = desk.held.rules(desk.held.newest)
    found = {tuple(each.id for each in bundle.grants) for bundle in rules.each}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("published", [False, True])
def test_grants_come_go_and_end_by_themselves(desk, published):
    if published:
        desk.take(document(1, ga=10))
    assert named(desk) == ()
    desk.take_grants(grants(desk.clock, ("ga", grant())))
    assert named(desk) == ("GX1/ga",)
    held = desk.held.newest
    assert desk.held.unchanged(held, ["GX1/ga"], WHO, "statistics")
    desk.take_grants(grants(desk.clock, ahead=1))
    assert named(desk) == ()
    assert not desk.held.unchanged(held, ["GX1/ga"], WHO, "statistics")
    desk.take_grants(grants(desk.clock, ("ga", grant()), ahead=2))
    desk.clock.moment += timedelta(seconds=301)
    assert named(desk) == ()


def test_no_provider_grants_what_is_anothers(desk):
    desk.take_grants(grants(desk.clock, ("tax", grant()), ("ga", grant("GX2/ga", "name"))))
    assert named(desk) == ()


def test_an_applications_grant_in_the_own_file_holds_only_as_the_application_says(tmp_path):
    written = replace(configured(), grants=(grant(), grant("written")))
    desk = Desk(tmp_path / "policy", written)
    assert named(desk) == ("GX1/ga", "written")
    desk.take_grants(grants(desk.clock))
    assert named(desk) == ("written",)


def test_grants_that_are_forged_older_or_of_another_time_are_refused_also_after_a_restart(desk):
    now = grants(desk.clock, ("ga", grant()))
    desk.take_grants(now)
    assert not desk.take_grants(now)
    desk.open()
    raw = now.to_bytes()
    assert refused(desk, raw, KEY.sign(POLICY, raw), "take_grants")
    assert refused(desk, raw[:-1], KEY.sign(GRANTS, raw), "take_grants")
    for wrong in (
        replace(now, number=now.number - 1),
        replace(now, grants=()),
        grants(desk.clock, ahead=1, seconds=0),
        grants(desk.clock, ahead=1, seconds=100_000),
        grants(desk.clock, ahead=10**10),
    ):
        raw = wrong.to_bytes()
        assert refused(desk, raw, KEY.sign(GRANTS, raw), "take_grants")
    assert named(desk) == ("GX1/ga",)


def test_only_a_change_of_grants_is_an_entry(desk):
    for ahead in range(3):
        desk.take_grants(grants(desk.clock, ("ga", grant()), ahead=ahead))
    desk.take_grants(grants(desk.clock, ahead=3))
    assert [(each["action"], each["grants"]) for each in desk.events] == [("grants", 1), ("grants", 0)]  # fmt: skip


def test_a_department_may_let_its_own_grants_alone_count(tmp_path):
    written = replace(configured(), grants=(grant("written"),))
    desk = Desk(tmp_path / "policy", written, own_grants=True)
    desk.take_grants(grants(desk.clock, ("ga", grant("GX2/ga"))))
    assert named(desk) == ("written",)
    for number, (ga, before) in enumerate(((20, ""), (30, files(ga=20))), 1):
        desk.take(document(number, before, ga=ga))
        own = desk.held.rules(desk.held.newest).own
        assert [each.id for each in own.grants] == ["written"]
