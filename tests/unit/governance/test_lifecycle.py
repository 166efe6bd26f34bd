"""Four eyes and the acts, one promise each."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from policy_world import (
    ANALYST,
    AUDITOR,
    BOTH,
    GA,
    HAN,
    LU,
    QIAO,
    SS,
    TAX,
    configured,
    files,
    small_catalog,
    world,
)

from middleplatform.errors import AuditError, LimitError, MiddleplatformError
from middleplatform.governance.examined import loaded
from middleplatform.governance.four_eyes import Required
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.store.acts import Act, begin, undo
from middleplatform.store.policies import Kind, State


@pytest.fixture
def made(tmp_path):
    with world(tmp_path) as opened:
        yield opened


@pytest.fixture
def life(made):
    return made.life


@contextmanager
def refused(code):
    with pytest.raises(MiddleplatformError) as error:
        yield
    assert error.value.code == code, error.value


def state(life, number):
    return life.weigh(number).proposal.state


def test_before_anything_is_published_the_configured_folder_is_in_force(life):
    assert life.standing().number == 0
    assert life.standing().bundle.digest == configured().digest


def test_what_only_tightens_is_published_by_its_author_alone(life):
    number = life.propose(HAN, files(ga=30), "stricter")
    assert not life.weigh(number).required
    assert life.publish(HAN, number) == 1
    assert life.standing().bundle.datasets["ga.population"].disclosure.min_units == 30


def test_what_loosens_waits_for_a_second_officer_and_each_owner(life):
    number = life.propose(HAN, files(ga=10, tax=10), "looser")
    assert life.weigh(number).required == Required(
        second_officer=True, owners=frozenset({"ga", "tax"})
    )
    for person in (LU, GA):
        with refused("Q042"):
            life.publish(HAN, number)
        life.approve(person, number)
    assert state(life, number) is State.PROPOSED
    assert life.approve(TAX, number).proposal.state is State.APPROVED
    assert life.publish(QIAO, number) == 1
    assert state(life, number) is State.PUBLISHED


def test_one_dataset_that_loosens_asks_its_owner_alone(life):
    number = life.propose(HAN, files(ga=30, tax=10), "both ways")
    assert life.weigh(number).required.owners == {"tax"}
    with refused("P004"):
        life.approve(GA, number)


def test_the_author_cannot_approve_or_reject_himself(life):
    number = life.propose(HAN, files(tax=10), "looser")
    with refused("P004"):
        life.approve(HAN, number)
    with refused("P004"):
        life.reject(HAN, number, "no")


def test_nobody_approves_twice(life):
    number = life.propose(HAN, files(tax=10), "looser")
    life.approve(LU, number)
    with refused("Q042"):
        life.approve(LU, number)


def test_other_letters_make_no_second_person(life):
    number = life.propose(HAN, files(tax=10), "looser")
    with refused("P004"):
        life.approve(replace(HAN, id="HAN"), number)
    life.approve(LU, number)
    with refused("Q042"):
        life.approve(replace(LU, id="Lu"), number)


@pytest.mark.parametrize("person", [ANALYST, AUDITOR, BOTH, GA], ids=lambda each: each.id)
def test_only_a_security_officer_without_other_duties_changes_policy(life, person):
    with refused("P004"):
        life.propose(person, files(ga=30), "mine")
    number = life.propose(HAN, files(ga=30), "stricter")
    for act in (life.publish, life.withdraw):
        with refused("P004"):
            act(person, number)
    with refused("P004"):
        life.roll_back(person, 1, "back")


@pytest.mark.parametrize("person", [ANALYST, AUDITOR, BOTH, SS], ids=lambda each: each.id)
def test_only_those_who_are_asked_decide_on_a_proposal(life, person):
    number = life.propose(HAN, files(tax=10), "looser")
    for act in (life.approve, life.reject):
        with refused("P004"):
            act(person, number, "say")


def test_what_needs_no_approval_takes_none(life):
    with refused("P004"):
        life.approve(LU, life.propose(HAN, files(ga=30), "stricter"))


@pytest.mark.parametrize("close", ["reject", "withdraw", "publish"])
def test_a_closed_proposal_stays_closed(life, close):
    number = life.propose(HAN, files(ga=30), "stricter")
    if close == "publish":
        life.publish(HAN, number)
    else:
        getattr(life, close)(LU if close == "reject" else HAN, number, "over")
    for act in (lambda: life.publish(HAN, number), lambda: life.reject(LU, number, "no"),
                lambda: life.withdraw(HAN, number)):  # fmt: skip
        with refused("Q042"):
            act()


def test_only_its_author_withdraws_a_proposal(life):
    number = life.propose(HAN, files(ga=30), "stricter")
    with refused("P004"):
        life.withdraw(LU, number)
    life.withdraw(replace(HAN, id="HAN"), number)  # one person, however the login is written
    assert state(life, number) is State.WITHDRAWN


def test_a_proposal_against_another_policy_than_the_one_in_force_is_stale(life):
    first = life.propose(HAN, files(ga=30), "stricter")
    second = life.propose(LU, files(tax=10), "looser")
    life.publish(HAN, first)
    for act in (lambda: life.approve(QIAO, second), lambda: life.publish(LU, second)):
        with refused("Q042"):
            act()
    life.withdraw(LU, second)


def test_a_proposal_against_a_folder_that_has_changed_since_is_stale(made):
    number = made.life.propose(HAN, files(ga=30), "stricter")
    other = Lifecycle(made.life.desk, small_catalog(), loaded(files(ga=10), small_catalog()))
    with refused("Q042"):
        other.publish(HAN, number)


def test_a_rollback_is_a_new_version_and_judged_like_any_change(life):
    life.publish(HAN, life.propose(HAN, files(tax=20, label="a"), "first"))
    life.publish(HAN, life.propose(HAN, files(tax=30, label="b"), "stricter"))
    number, version = life.roll_back(LU, 1, "too strict")
    assert version == 0
    assert life.weigh(number).missing == Required(second_officer=True, owners=frozenset({"tax"}))
    life.approve(HAN, number)
    life.approve(TAX, number)
    assert life.publish(LU, number) == 3
    made = life.versions()[-1]
    assert (made.kind, made.restores, made.content) == (
        Kind.ROLLBACK,
        1,
        life.versions()[0].content,
    )


def test_a_rollback_that_tightens_acts_at_once(life):
    life.publish(HAN, life.propose(HAN, files(tax=30), "strict"))
    number = life.propose(HAN, files(tax=10), "looser")
    for person in (LU, TAX):
        life.approve(person, number)
    life.publish(HAN, number)
    assert life.roll_back(QIAO, 1, "an incident") == (3, 3)
    assert life.standing().bundle.datasets["tax.individual_income"].disclosure.min_units == 30


def test_restoring_what_is_in_force_is_refused(life):
    life.publish(HAN, life.propose(HAN, files(), "first"))
    with refused("Q042"):
        life.roll_back(HAN, 1, "again")
    with refused("Q041"):
        life.roll_back(HAN, 7, "never was")


@pytest.mark.parametrize(
    "wrong",
    [
        files(suite=False), files(expect="permit"), files(tax=5), {"a.yaml": "name: [", "b.txt": ""},
        {}, {"../manifest.yaml": "name: x"}, {"a.yaml": "name: \udfff"}, files(note="x: \0"),
    ],
    ids=["no suite", "red suite", "lint error", "no YAML", "nothing", "a path", "no text", "a null"],
)  # fmt: skip
def test_what_check_or_test_refuse_is_not_even_proposed(life, wrong):
    with refused("C001"):
        life.propose(HAN, wrong, "try")
    assert life.proposals() == ()


def test_a_reason_is_needed_and_is_no_novel(life):
    for reason in ("", "  ", "x" * 2001, "\0"):
        with refused("Q040"):
            life.propose(HAN, files(ga=30), reason)


def test_versions_are_kept_as_they_were_written(life):
    written = files(note="# 注释\r\n\r\n")
    life.publish(HAN, life.propose(HAN, written, "first"))
    life.publish(HAN, life.propose(HAN, files(ga=30), "second"))
    assert life.files(1) == written
    assert [(each.number, each.predecessor, each.published_by) for each in life.versions()] == [(1, 0, "han"), (2, 1, "han")]  # fmt: skip


def test_every_act_is_an_entry_with_who_what_and_why(made):
    life = made.life
    number = made.loosened()
    life.approve(LU, number, "seen")
    life.approve(TAX, number)
    life.publish(HAN, number)
    dropped = life.propose(QIAO, files(ga=30, tax=10), "other")
    life.withdraw(QIAO, dropped, "no more")
    refused_one = life.propose(QIAO, files(ga=30, tax=10), "other")
    life.reject(LU, refused_one, "not now")
    entries = made.entries()
    assert [(each["action"], each["subject"]) for each in entries] == [
        ("proposed", "han"), ("published", "han"), ("proposed", "han"), ("approved", "lu"),
        ("approved", "steward_tax"), ("published", "han"), ("proposed", "qiao"),
        ("withdrawn", "qiao"), ("proposed", "qiao"), ("rejected", "lu"),
    ]  # fmt: skip
    assert entries[5]["approvals"] == [
        {"person": "lu", "department": "db", "capacity": "second_officer"},
        {"person": "steward_tax", "department": "tax", "capacity": "data_owner"},
    ]
    assert (entries[2]["reason"], entries[3]["comment"], entries[9]["comment"]) == ("second", "seen", "not now")  # fmt: skip
    assert (entries[5]["version"], entries[5]["predecessor"], entries[5]["owners"]) == (2, 1, ["tax"])  # fmt: skip
    assert len({each["act"] for each in entries}) == len(entries)
    index = life.versions()[1].audit_index
    assert made.log.entry(index).record.body["version"] == 2


def test_a_log_that_takes_nothing_leaves_everything_as_it_was(made):
    number = made.life.propose(HAN, files(ga=30), "stricter")
    for fault in (AuditError("A001"), LimitError("L001")):
        life = made.beside(FullLog(made.log, fault))
        with refused(fault.code):
            life.publish(HAN, number)
        assert life.versions() == ()
    assert made.life.publish(HAN, number) == 1


class FullLog:
    """A log that takes no entry."""

    def __init__(self, log, fault):
        self.claimant, self.size, self.entries, self.fault = (
            log.claimant,
            log.size,
            log.entries,
            fault,
        )

    def append(self, _record):
        raise self.fault


def test_a_process_without_the_log_acts_through_the_one_that_has_it(made):
    with holding(made.life.desk):
        life = made.beside()
        assert life.publish(HAN, life.propose(HAN, files(ga=30), "stricter")) == 1
    assert [each["action"] for each in made.entries()] == ["proposed", "published"]


@contextmanager
def holding(desk):
    """Finish acts in another thread, as the process that holds the log does."""
    stop = threading.Event()

    def hold():
        while not stop.wait(0.01):
            desk.finish()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_what_was_judged_by_another_catalogue_or_folder_is_not_entered(made):
    desk = made.beside().desk
    looser = loaded(files(ga=10, tax=10), small_catalog())
    others = (
        Lifecycle(desk, small_catalog(), looser),  # against which the proposal seems to tighten
        Lifecycle(desk, replace(small_catalog(), digest="0" * 64), configured()),
    )
    for other in others:
        with holding(made.life.desk), refused("Q042"):
            other.propose(HAN, files(ga=10, tax=20), "stricter, it seems")
    with refused("Q042"):  # nor where both have the same desk
        Lifecycle(made.life.desk, small_catalog(), looser).propose(HAN, files(tax=15), "as well")
    assert made.entries() == []
    assert made.life.proposals() == ()


def test_a_process_without_the_log_takes_its_act_back_where_nobody_has_it(made, monkeypatch):
    monkeypatch.setattr("middleplatform.governance.desk._WAIT_S", 0.1)
    with refused("A003"):
        made.beside().propose(HAN, files(ga=30), "stricter")
    assert made.life.desk.finish() is False
    assert made.life.proposals() == ()


def test_an_act_that_another_log_has_taken_on_is_left_to_it(made):
    other = FullLog(made.log, AuditError("A002", what="gone"))
    other.claimant = "elsewhere.example/log"
    life = made.beside(other)
    with refused("A002"):
        life.propose(HAN, files(ga=30), "stricter")
    assert made.life.desk.finish() is False
    with refused("Q042"):
        made.life.propose(HAN, files(ga=30), "stricter")


def test_a_version_that_no_longer_loads_is_told_and_not_replaced(made):
    made.life.publish(HAN, made.life.propose(HAN, files(ga=30), "stricter"))
    stricter = Lifecycle(made.life.desk, without_income(), configured())
    with refused("C001"):
        stricter.standing()


def test_a_version_that_no_longer_loads_can_be_replaced_with_everybodys_approval(made):
    made.life.publish(HAN, made.life.propose(HAN, files(ga=30), "stricter"))
    desk = made.beside(made.log).desk
    desk.vouches.clear()
    life = Lifecycle(desk, without_income(), configured())
    written = {**files(ga=30), "columns.yaml": POPULATION}
    number = life.propose(HAN, written, "the catalogue has changed")
    assert life.weigh(number).required == Required(second_officer=True, owners=frozenset({"ga"}))
    with refused("Q042"):
        life.publish(HAN, number)
    life.approve(LU, number)
    life.approve(GA, number)
    assert life.publish(HAN, number) == 2
    assert set(life.standing().bundle.datasets) == {"ga.population"}


POPULATION = """datasets:
  ga.population: {purposes: [statistics], columns: {id_number: {}, region_code: {}}}
"""


def without_income():
    """Return a catalogue in which one of the two datasets is no more."""
    whole = small_catalog()
    left = {name: each for name, each in whole.datasets.items() if name == "ga.population"}
    return replace(whole, datasets=left)


def test_an_act_that_was_taken_back_is_not_mistaken_for_the_next_of_its_number(made):
    """Between a look at what waits and its taking on, another process takes it back, and a third does its own."""
    beside = made.beside(made.log)
    first, second = (Act("policy", {"action": each}, ()) for each in ("first", "second"))
    desk, swapped = made.life.desk, []

    def vouch(act):
        if act.body["action"] == "first":
            with desk.store.writing() as connection:
                undo(connection, act.number)
                swapped.append(begin(connection, second, "f" * 32, made.clock.now()))
        return True

    desk.vouches.append(vouch)
    with refused("Q042"):
        desk.perform(lambda _connection, _number: first)
    assert swapped == [1]
    beside.desk.finish()
    assert [each["action"] for each in made.entries()] == ["second"]
