"""Does a node answer with noise of the right size, from bounded rows, out of a budget that is never overspent?"""

import statistics
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import made_platform
import made_world as made
import pytest
from judging import Judging

from connectors.spi import ConnectorError, ErrorKind
from middleplatform.disclosure.privacy import noise_of
from middleplatform.errors import DisclosureError, ProtocolError, QueryError, SourceError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.policy import PrivacyRule
from middleplatform.node.noisy_answers import NoisyAnswers
from middleplatform.planner.layout import layout_of

RULE = PrivacyRule(
    rho=Fraction(1, 2), delta=Fraction(1, 10**6), groups=2, rows=3,
    rho_snapshot=Fraction(10**6), rho_project=Fraction(10**6), rho_analyst=Fraction(10**6),
)  # fmt: skip
CAP = Decimal(2000)
TOTAL = (
    'SELECT COUNT(*) AS "a0", SUM("t0"."amount") AS "a1", COUNT(DISTINCT "t0"."id") AS "a2"'
    ' FROM "ga"."income" AS "t0"'
)


def ruled(rule=RULE, cap=CAP):
    bundle = made_platform.with_parameters(privacy=rule, history=False)
    bundle = replace(bundle, limits=replace(bundle.limits, projects=("*",)))
    return made.with_column(bundle, "ga.income", "amount", cap=cap)


@pytest.fixture
def platform(tmp_path):
    with made_platform.Platform(tmp_path, bundle=ruled()) as opened:
        yield opened


def asked(platform, sql, noise="1/2", **changes):
    fragment = platform.fragment(sql, noise=noise, **changes)
    return platform.nodes["ga"].answer(*platform.signed(fragment))


def bounded_totals(rows, cap, most):
    """Return rows, clamped totals and units of the incomes, counted in Python."""
    units = {}
    for unit, *_, amount, _steps, _paid in rows["income"]:
        units.setdefault(unit, []).append(amount)
    totals = [sum((each for each in own if each is not None), Decimal(0)) for own in units.values()]
    counts = sum(min(most, len(own)) for own in units.values())
    return counts, sum(max(-cap, min(cap, each)) for each in totals), len(units)


def test_words_lie_around_the_bounded_ones_as_widely_as_the_noise_says(platform):
    # Each draw of another project is independent; the bound is beyond 7 standard errors.
    counts, total, units = bounded_totals(platform.rows, CAP, RULE.rows)
    cell = made.cell(TOTAL)
    noise = noise_of(layout_of(cell, made.CATALOG), RULE, Fraction(1, 2), (200_000,), 1)
    found = [
        asked(platform, TOTAL, noise="1/2", project=f"p{number}").cells.to_pylist()[0]
        for number in range(60)
    ]
    for name, exact in (("rows_0", counts), ("sum_0", total), ("units_0", units)):
        deviation = noise.word(name).deviation
        values = [float(row[name]) for row in found]
        assert abs(statistics.mean(values) - float(exact)) < 7 * deviation / 60**0.5, name
        assert 0.4 * deviation < statistics.stdev(values) < 1.9 * deviation, name


def test_a_question_asked_again_gets_the_same_bytes_and_is_paid_once(platform):
    first = asked(platform, TOTAL)
    again = asked(platform, TOTAL)
    assert again.payload == first.payload
    budget = platform.nodes["ga"].budget
    assert [entry.rho for entry in budget.entries()] == [Fraction(1, 2)]
    # Of another loss, another project, and of another snapshot it is another question.
    asked(platform, TOTAL, noise="1/3")
    asked(platform, TOTAL, project="other")
    budget.begin_snapshot("ga.income", "2027", "2027-01-01T00:00:00+00:00")
    asked(platform, TOTAL)
    losses = [(entry.rho, entry.state) for entry in budget.entries()]
    assert losses == [(Fraction(1, each), "committed") for each in (2, 3, 2, 2)]


def test_answers_survive_a_restart(tmp_path):
    record = NoisyAnswers(tmp_path / "noisy.db")
    assert record.keep(b"q", b"first") == b"first"
    record.close()
    record = NoisyAnswers(tmp_path / "noisy.db")
    assert record.find(b"q") == b"first"
    assert record.keep(b"q", b"second") == b"first"
    record.close()


def test_nothing_is_read_once_the_budget_is_spent(platform):
    node = platform.nodes["ga"]
    node.bundle = ruled(replace(RULE, rho_project=Fraction(1, 2)))
    asked(platform, TOTAL, policy_digest=node.bundle.digest)
    node.source = replace(node.source, connector=Broken(node.source.connector, described=True))
    with pytest.raises(DisclosureError) as caught:
        asked(platform, TOTAL, noise="1/100")
    assert caught.value.code == "D013"


class Broken:
    """A connector that says what it has and fails where it is read, or already when it is described."""

    def __init__(self, inner, *, described):
        self.inner, self.described = inner, described

    def describe(self, names=()):
        if not self.described:
            raise ConnectorError(ErrorKind.UNREACHABLE, "gone")
        return self.inner.describe(names)

    def execute(self, *_):
        raise ConnectorError(ErrorKind.UNREACHABLE, "gone")

    def __getattr__(self, name):
        return getattr(self.inner, name)


@pytest.mark.parametrize(("described", "state"), [(False, "released"), (True, "started")])
def test_a_loss_is_given_back_only_while_nothing_was_read(platform, described, state):
    node = platform.nodes["ga"]
    broken = Broken(node.source.connector, described=described)
    node.source = replace(node.source, connector=broken)
    with pytest.raises(SourceError):
        asked(platform, TOTAL)
    assert [entry.state for entry in node.budget.entries()] == [state]


def test_a_snapshot_that_begins_between_look_up_and_reservation_has_the_answer_filed_under_it(
    platform,
):
    ledger = platform.nodes["ga"].budget
    reserve = ledger.reserve_all

    def late(*given):
        ledger.begin_snapshot("ga.income", "2027", "2027-01-01T00:00:00+00:00")
        return reserve(*given)

    ledger.reserve_all = late
    first = asked(platform, TOTAL)
    del ledger.reserve_all
    # Asked again of the snapshot that was charged it is the same answer; else this would be a second draw, paid again.
    assert asked(platform, TOTAL).payload == first.payload
    assert [entry.snapshot.label for entry in ledger.entries()] == ["2027"]


def test_an_answer_that_another_call_filed_meanwhile_is_given_and_nothing_is_paid(platform):
    ledger = platform.nodes["ga"].budget
    reserve, other = ledger.reserve_all, []

    def late(*given):
        del ledger.reserve_all
        other.append(asked(platform, TOTAL))
        return reserve(*given)

    ledger.reserve_all = late
    assert asked(platform, TOTAL).payload == other[0].payload
    assert sorted(entry.state for entry in ledger.entries()) == ["committed", "released"]


@pytest.mark.parametrize("noise", ["1/640009", "7/1000000000001", "1/10000000000000000"])
def test_a_loss_that_no_answer_is_divided_into_is_refused_and_never_reaches_the_ledger(
    platform, noise
):
    with pytest.raises(ProtocolError) as caught:
        asked(platform, TOTAL, noise=noise)
    assert caught.value.code == "X003"
    assert platform.nodes["ga"].budget.entries() == []


def test_equal_shares_of_what_may_be_asked_and_of_what_policy_allows_are_taken(platform):
    node = platform.nodes["ga"]
    node.bundle = ruled(replace(RULE, rho=Fraction(1, 65537)))
    shares = [Fraction(1, 65537 * 3), Fraction(1, 640000), Fraction(1, 70000)]
    for rho in shares:
        asked(platform, TOTAL, noise=str(rho))
    assert [entry.rho for entry in node.budget.entries()] == shares


@pytest.mark.parametrize(
    ("changes", "noise", "code"),
    [
        ({"privacy": None}, "1/2", "D014"),
        ({}, "51/100", "D013"),
        ({}, "0", "D013"),
        ({}, "-1/2", "D013"),
        ({}, "much", "D013"),
        ({"method": "noise"}, "", "D012"),
    ],
)
def test_policy_of_the_node_says_whether_and_how_much(platform, changes, noise, code):
    node = platform.nodes["ga"]
    node.bundle = made_platform.with_parameters(node.bundle, **changes)
    with pytest.raises(DisclosureError) as caught:
        asked(platform, TOTAL, noise=noise)
    assert caught.value.code == code
    assert node.budget.entries() == []


def test_a_measure_without_a_cap_and_a_sealed_answer_are_refused_before_anything_is_spent(platform):
    node = platform.nodes["ga"]
    steps = 'SELECT SUM("t0"."steps") AS "a0" FROM "ga"."income" AS "t0"'
    with pytest.raises(DisclosureError) as caught:
        asked(platform, steps)
    assert caught.value.code == "D014"
    assert "ga.income.steps" in caught.value.public_message
    firms = 'SELECT COUNT(DISTINCT "t0"."firm") AS "a0" FROM "ga"."income" AS "t0"'
    with pytest.raises(QueryError) as refused:
        asked(platform, firms)
    assert refused.value.code == "Q031"
    assert node.budget.entries() == []


@pytest.mark.parametrize(
    ("own", "published", "code"),
    [(CAP, None, "D014"), (None, CAP, "D014"), (CAP / 2, CAP, "X003"), (CAP, CAP / 2, "X003"), (CAP, CAP, "")],
)  # fmt: skip
def test_a_cap_of_the_departments_own_is_kept_or_nothing_is_answered(
    platform, own, published, code
):
    node = platform.nodes["ga"]
    document = replace(ruled(cap=published), digest="d" * 64)
    own = replace(ruled(cap=own), digest="e" * 64)
    own = made.with_column(own, "ga.income", "steps", min_units=11)  # it differs anyway
    node.policies = Judging(own, document)
    how = {"policy_digest": document.digest}
    if not code:
        assert asked(platform, TOTAL, **how).cells.num_rows == 1
        return
    with pytest.raises((DisclosureError, ProtocolError)) as caught:
        asked(platform, TOTAL, **how)
    assert (caught.value.code, caught.value.rule) == (code, "R5")
    assert node.budget.entries() == []


def test_a_label_of_few_units_is_not_shown_and_a_label_of_many_is(tmp_path):
    rows = made.make_rows()
    alone = ("Lonely", None, 1999, "工资", Decimal("7.00"), 1, None)
    many = [(f"M{n}", None, 2001, "工资", Decimal("7.00"), 1, None) for n in range(3000)]
    rows["income"] = [*rows["income"], alone, *many]
    with made_platform.Platform(tmp_path, bundle=ruled(), rows=rows) as platform:
        sql = (
            'SELECT "t0"."year" AS "d0", COUNT(*) AS "a0" FROM "ga"."income" AS "t0"'
            ' GROUP BY "t0"."year"'
        )
        found = asked(platform, sql).cells
        # sigma is 2, the threshold 2 + 2 * z(2.5e-7): 1999 would need 11 more, 2001 has 3000.
        assert 2001 in found["d0"].to_pylist()
        assert 1999 not in found["d0"].to_pylist()
        # Only what was asked for leaves, not the count that was held against the threshold.
        assert found.column_names == ["d0", "ml", "rows_0", "m0"]


def test_public_labels_are_shown_whether_anybody_has_them_or_not(platform):
    sql = (
        """SELECT CASE WHEN "t0"."year" > 2100 THEN '未来' ELSE '现在' END AS "d0", COUNT(*) AS "a0" """
        """FROM "ga"."income" AS "t0" GROUP BY CASE WHEN "t0"."year" > 2100 THEN '未来' ELSE '现在' END"""
    )
    found = asked(platform, sql).cells
    assert sorted(found["d0"].to_pylist()) == ["未来", "现在"]
    assert min(found["rows_0"].to_pylist()) >= 0


def test_variances_can_be_computed_of_what_leaves(platform):
    sql = 'SELECT VAR_SAMP("t0"."amount") AS "a0" FROM "ga"."income" AS "t0"'
    for number in range(10):
        (row,) = asked(platform, sql, noise="1/500", project=f"p{number}").cells.to_pylist()
        rows, total, squares = row["rows_1"], row["sum_0"], row["sq_0"]
        assert rows >= 0
        assert rows == 0 or squares * rows >= total * total


def test_a_ledger_that_refuses_leaves_nothing_read(platform):
    node = platform.nodes["ga"]
    node.budget = BudgetLedger(None)
    node.budget.close()
    with pytest.raises(Exception, match=r"file system|privacy"):
        asked(platform, TOTAL)
