"""The ledger of privacy budgets: what counts, what is given back, what a new snapshot changes, and what D013 tells."""

import sqlite3
import threading
from dataclasses import replace
from fractions import Fraction

import pytest

from middleplatform.errors import AuditError, ConfigError, DisclosureError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import FIRST, Charge, Reservation, Snapshot
from middleplatform.model.policy import PrivacyRule

AT = "2026-03-01T08:00:00+00:00"
CAPS = PrivacyRule(rho_snapshot=Fraction(1), rho_project=Fraction(1, 2), rho_analyst=Fraction(1, 4))
TENTH, THIRD = Fraction(1, 10), Fraction(1, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "budget.db"


@pytest.fixture
def ledger(path):
    with BudgetLedger(path) as opened:
        yield opened


def take(ledger, rho=TENTH, dataset="ga.person", project="p", analyst="li", caps=CAPS):
    return ledger.reserve(dataset, project, analyst, rho, caps, query_id="q", at=AT)


def left(ledger, dataset="ga.person", project="p", analyst="li"):
    found = ledger.left(dataset, project, analyst, CAPS)
    return found.by_snapshot, found.by_project, found.by_analyst


def refused(ledger, **asked):
    with pytest.raises(DisclosureError) as caught:
        take(ledger, **asked)
    assert caught.value.code == "D013"
    return caught.value


def test_what_is_reserved_counts_against_all_three_caps_at_once(ledger):
    taken = take(ledger)
    assert taken.snapshots == (Snapshot("ga.person", FIRST),)
    assert left(ledger) == (Fraction(9, 10), Fraction(2, 5), Fraction(3, 20))
    assert left(ledger, project="other") == (Fraction(9, 10), Fraction(1, 2), Fraction(3, 20))
    assert left(ledger, analyst="wang") == (Fraction(9, 10), Fraction(2, 5), Fraction(1, 4))
    assert left(ledger, dataset="tax.income") == (1, Fraction(1, 2), Fraction(1, 4))


def test_the_least_of_three_caps_is_what_may_be_spent(ledger):
    take(ledger)
    assert ledger.left("ga.person", "p", "li", CAPS).least == Fraction(3, 20)


@pytest.mark.parametrize(
    ("spenders", "english", "chinese"),
    [
        ([("p", "li")] * 2, "the analyst for dataset ga.person", "分析人员本人（数据集 ga.person）"),
        ([("p", f"u{n}") for n in range(5)], "project p for dataset ga.person", "项目 p（数据集 ga.person）"),
        ([(f"p{n}", f"u{n}") for n in range(10)], "dataset ga.person as a whole", "数据集 ga.person 整体"),
    ],
)  # fmt: skip
def test_the_refusal_names_the_cap_in_both_languages(ledger, spenders, english, chinese):
    for project, analyst in spenders:
        take(ledger, project=project, analyst=analyst)
    error = refused(ledger)
    assert error.message("en") == f"Refused: the privacy budget of {english} does not reach."
    assert error.message("zh") == f"{chinese} 的隐私预算不足，不予作答。"
    assert len(ledger.entries()) == len(spenders)


def test_a_cap_is_spent_to_its_last_unit_and_not_one_unit_further(ledger):
    take(ledger, rho=Fraction(1, 4) - Fraction(1, 10_000))
    refused(ledger, rho=Fraction(1, 10_000) + Fraction(1, 10**15))
    take(ledger, rho=Fraction(1, 10_000))
    refused(ledger, rho=Fraction(1, 10**15))
    assert ledger.left("ga.person", "p", "li", CAPS).by_analyst == 0


def test_thirds_add_up_to_one_exactly(ledger):
    caps = replace(CAPS, rho_project=Fraction(1), rho_analyst=Fraction(1))
    for _ in range(3):
        take(ledger, rho=THIRD, caps=caps)
    assert ledger.spent()[Snapshot("ga.person"), "snapshot", ""] == 1


def test_what_was_not_read_is_given_back_once(ledger):
    taken = take(ledger)
    assert ledger.release(taken)
    assert ledger.release(taken)
    assert left(ledger) == (1, Fraction(1, 2), Fraction(1, 4))
    with pytest.raises(ValueError, match="released"):
        ledger.start(taken)
    with pytest.raises(ValueError, match="released"):
        ledger.commit(taken)


@pytest.mark.parametrize("steps", [["start"], ["start", "commit"], ["commit"]])
def test_what_was_read_is_never_given_back(ledger, steps):
    taken = take(ledger)
    for step in steps:
        getattr(ledger, step)(taken)
    assert not ledger.release(taken)
    assert left(ledger)[0] == Fraction(9, 10)


def test_an_open_reservation_counts_after_a_restart_and_cannot_be_started_again_by_another(path):
    with BudgetLedger(path) as before:
        take(before)
    with BudgetLedger(path) as after:
        assert left(after)[0] == Fraction(9, 10)
        assert [each.state for each in after.entries()] == ["reserved"]
        with pytest.raises(ValueError, match="another ledger"):
            after.start(Reservation(1, "another question"))


def test_a_statement_reserves_in_all_its_datasets_or_in_none(ledger):
    take(ledger, dataset="tax.income", rho=Fraction(1, 4))
    both = [Charge("ga.person", TENTH, CAPS), Charge("tax.income", TENTH, CAPS)]
    with pytest.raises(DisclosureError) as caught:
        ledger.reserve_all(both, "p", "li", "q2", AT)
    assert "tax.income" in str(caught.value)
    assert left(ledger) == (1, Fraction(1, 2), Fraction(1, 4))
    taken = ledger.reserve_all(both, "p2", "wang", "q3", AT)
    assert [each.dataset for each in taken.snapshots] == ["ga.person", "tax.income"]
    assert ledger.release(taken)
    assert left(ledger, dataset="tax.income")[0] == Fraction(3, 4)


@pytest.mark.parametrize(
    "charges",
    [
        [],
        [Charge("a", TENTH, CAPS), Charge("a", TENTH, CAPS)],
        [Charge("a", Fraction(0), CAPS)],
        [Charge("a", Fraction(-1), CAPS)],
        [Charge("a", Fraction(1, 10**15 + 1), CAPS)],
    ],
)
def test_charges_that_mean_nothing_are_the_callers_mistake(ledger, charges):
    with pytest.raises(ValueError, match=r"charges|loss"):
        ledger.reserve_all(charges, "p", "li", "q", AT)
    assert ledger.entries() == []


def test_a_new_snapshot_has_a_whole_budget_and_the_old_one_keeps_its_entries(ledger):
    take(ledger)
    entered = []
    begun = ledger.begin_snapshot("ga.person", "2026Q2", AT, lambda: entered.append("log"))
    assert (begun, entered) == (Snapshot("ga.person", "2026Q2"), ["log"])
    assert ledger.snapshot("ga.person") == begun
    assert left(ledger) == (1, Fraction(1, 2), Fraction(1, 4))
    assert take(ledger, rho=Fraction(1, 4)).snapshots == (begun,)
    assert [each.snapshot.label for each in ledger.entries()] == [FIRST, "2026Q2"]
    assert ledger.spent()[Snapshot("ga.person", FIRST), "snapshot", ""] == TENTH
    assert left(ledger, dataset="tax.income")[0] == 1


@pytest.mark.parametrize("label", ["", " a", "a\n", "a" * 65, FIRST, "2026Q2"])
def test_no_label_is_used_twice_or_means_nothing(ledger, label):
    ledger.begin_snapshot("ga.person", "2026Q2", AT)
    take(ledger, rho=Fraction(1, 4))
    with pytest.raises(ConfigError) as caught:
        ledger.begin_snapshot("ga.person", label, AT)
    assert caught.value.code == "C003"
    assert left(ledger)[2] == 0


def test_a_snapshot_that_the_log_cannot_take_does_not_begin(ledger):
    take(ledger, rho=Fraction(1, 4))

    def full():
        raise AuditError("A001")

    with pytest.raises(AuditError):
        ledger.begin_snapshot("ga.person", "2026Q2", AT, full)
    assert ledger.snapshot("ga.person").label == FIRST
    refused(ledger)


def test_nothing_is_renewed_by_time(ledger):
    take(ledger, rho=Fraction(1, 4))
    with pytest.raises(DisclosureError):
        ledger.reserve("ga.person", "p", "li", TENTH, CAPS, query_id="q", at="2099-01-01T00:00:00Z")


def test_tightened_caps_leave_nothing_and_never_less(ledger):
    take(ledger, rho=Fraction(1, 4))
    tight = replace(CAPS, rho_analyst=TENTH, rho_project=TENTH, rho_snapshot=TENTH)
    found = ledger.left("ga.person", "p", "li", tight)
    assert (found.least, found.by_snapshot, found.by_project) == (0, 0, 0)
    refused(ledger, caps=tight, rho=Fraction(1, 10_000))


def test_entries_are_found_by_dataset_project_and_analyst(ledger):
    take(ledger)
    take(ledger, dataset="tax.income", project="p2", analyst="wang")
    assert len(ledger.entries()) == 2
    for asked in ({"dataset": "tax.income"}, {"project": "p2"}, {"analyst": "wang"}):
        (found,) = ledger.entries(**asked)
        assert (found.rho, found.analyst, found.query_id, found.at) == (TENTH, "wang", "q", AT)
    assert ledger.entries(dataset="tax.income", project="p") == []


def test_threads_share_one_cap_and_one_commit(path):
    caps = replace(CAPS, rho_project=Fraction(1), rho_analyst=Fraction(1))
    outcomes = []
    with BudgetLedger(path) as ledger:

        def spend():
            for _ in range(10):
                try:
                    outcomes.append(take(ledger, rho=Fraction(1, 30), caps=caps).number)
                except DisclosureError:
                    outcomes.append(0)

        threads = [threading.Thread(target=spend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        granted = [number for number in outcomes if number]
        assert (len(granted), len(set(granted)), len(outcomes)) == (30, 30, 80)
        assert ledger.spent()[Snapshot("ga.person"), "snapshot", ""] == 1


def test_two_openings_of_one_file_see_each_other(path):
    with BudgetLedger(path) as one, BudgetLedger(path) as other:
        take(one, rho=Fraction(1, 4))
        refused(other)


def test_a_ledger_whose_sums_were_changed_does_not_open(path):
    with BudgetLedger(path) as ledger:
        take(ledger)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE budget_spent SET numerator = 0 WHERE scope = 'analyst'")
    database.close()
    with pytest.raises(ConfigError) as caught:
        BudgetLedger(path)
    assert caught.value.code == "C011"


def test_the_file_is_its_owners_alone_and_no_folder_is_made(path):
    BudgetLedger(path).close()
    assert oct(path.stat().st_mode)[-3:] == "600"
    with pytest.raises(ConfigError) as caught:
        BudgetLedger(path.parent / "none" / "budget.db")
    assert caught.value.code == "C011"


def test_a_closed_ledger_grants_nothing(path):
    ledger = BudgetLedger(path)
    ledger.close()
    with pytest.raises(ConfigError) as caught:
        take(ledger)
    assert caught.value.code == "C011"


def test_a_login_in_other_letters_spends_the_same_budget(ledger):
    take(ledger)
    take(ledger, project="other", analyst="LI")
    assert left(ledger, project="third", analyst="Li")[2] == Fraction(1, 20)
    refused(ledger, project="third", analyst="lI")
    assert [each.analyst for each in ledger.entries(analyst="li")] == ["li", "LI"]
    ledger.close()


def test_a_budget_spent_in_other_letters_is_given_back_where_it_was_taken(ledger):
    taken = take(ledger, analyst="LI")
    assert ledger.release(taken)
    assert left(ledger)[2] == Fraction(1, 4)
