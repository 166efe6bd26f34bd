"""Do departments add noise of their own to a secure sum, before anybody can add their words?"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import made_platform
import made_world as made
import pytest

from middleplatform.combine.released import digest
from middleplatform.disclosure.privacy import noise_of
from middleplatform.errors import MiddleplatformError, ProtocolError
from middleplatform.model.policy import PrivacyRule
from middleplatform.planner.layout import layout_of

RULE = PrivacyRule(
    rho=Fraction(100), delta=Fraction(1, 10**6), groups=1, rows=1,
    rho_snapshot=Fraction(10**6), rho_project=Fraction(10**6), rho_analyst=Fraction(10**6),
)  # fmt: skip
SQL = "SELECT section, COUNT(*) AS n, SUM(staff) AS s FROM city.firm GROUP BY section ORDER BY section"


@pytest.fixture
def platform(tmp_path):
    bundle = made_platform.with_parameters(privacy=RULE, history=False)
    bundle = made.with_column(bundle, "city.firm", "staff", cap=Decimal(300))
    bundle = replace(bundle, limits=replace(bundle.limits, projects=("*",)))
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path, bundle=bundle, rows=rows) as opened:
        yield opened


def exact(platform):
    found = {}
    for _, _, section, _, staff, _ in platform.rows["firm"]:
        n, s = found.get(section, (0, 0))
        found[section] = (n + 1, s + min(300, staff))
    return found


def test_totals_have_the_noise_of_every_department_and_each_of_them_pays(platform):
    answer = platform.ask(SQL, noise="100")
    noise = noise_of(layout_of(made.cell(SQL), made.CATALOG), RULE, Fraction(100), (300,), None)
    expected = exact(platform)
    rows = answer.release.table.to_pylist()
    assert {row["section"] for row in rows} == set(expected)
    for row in rows:
        n, s = expected[row["section"]]
        # Three departments: the deviation is sqrt(3) times one's; 8 of them are never passed.
        counted, summed = noise.word("rows_0").deviation, noise.word("sum_0").deviation
        assert abs(row["n"] - n) <= 8 * 3**0.5 * counted
        assert abs(float(row["s"]) - s) <= 8 * 3**0.5 * summed
    for name in made_platform.CITY:
        assert [entry.rho for entry in platform.nodes[name].budget.entries()] == [100]
    # With so little noise the totals would be the exact ones hardly ever.
    assert [float(row["s"]) for row in rows] != [expected[row["section"]][1] for row in rows]


def test_asked_again_the_totals_are_the_same_and_nobody_pays_again(platform):
    first, second = (platform.ask(SQL, noise="1") for _ in range(2))
    assert first.release.table.equals(second.release.table)
    assert len(platform.nodes["c1"].budget.entries()) == 1


def test_a_noisy_round_shows_no_ladder(platform):
    fragment = {
        name: platform.fragment(
            'SELECT COUNT(*) AS "a0", SUM("t0"."staff") AS "a1" FROM "city"."firm" AS "t0"',
            name, "secure_sum", noise="1", query_id="ladder",
        )
        for name in made_platform.CITY
    }  # fmt: skip
    rounds, signed = platform.rounds, platform.signed
    hellos = [rounds[name].hello(*signed(each)) for name, each in fragment.items()]
    from middleplatform.crypto.sum_words import round_key  # noqa: PLC0415 - this test only

    key = round_key(fragment["c1"])
    sealed = {}
    for name in made_platform.CITY:
        sealed |= rounds[name].agree(key, hellos)
    for name in made_platform.CITY:
        rounds[name].codes(key, sealed.get(name))
    with pytest.raises(ProtocolError) as caught:
        rounds["c1"].ladder(key, [[1]])
    assert caught.value.code == "X001"


def test_an_empty_budget_of_one_department_ends_the_question(platform):
    node = platform.nodes["c2"]
    node.bundle = replace(
        made_platform.with_parameters(
            node.bundle, privacy=replace(RULE, rho_project=Fraction(1, 2))
        ),
        digest=node.bundle.digest,
    )
    with pytest.raises(MiddleplatformError) as caught:
        platform.ask(SQL, noise="1")
    assert caught.value.code == "D013"


def test_an_answer_tells_its_loss_and_the_intervals_of_its_values(platform):
    asked = SQL.replace("SUM(staff) AS s", "SUM(staff) AS s, AVG(staff) AS mean, COUNT(*) * 2 AS d")
    answer = platform.ask(asked, noise="100")
    release, expected = answer.release, exact(platform)
    assert release.intervals.column_names == release.table.column_names
    assert (
        release.intervals["section"].null_count
        == release.intervals["d"].null_count
        == release.table.num_rows
    )
    assert release.digest != digest(release.table, release.marks)
    assert release.digest == digest(release.table, release.marks, release.intervals)
    layout = layout_of(made.cell(asked), made.CATALOG)
    noise = noise_of(layout, RULE, Fraction(100), (300,), None)
    for row, width in zip(release.table.to_pylist(), release.intervals.to_pylist(), strict=True):
        n, s = expected[row["section"]]
        assert width["n"] == pytest.approx(1.95996 * 3**0.5 * noise.word("rows_0").deviation, 1e-4)
        assert abs(float(row["s"]) - s) <= 4.5 * width["s"]
        assert abs(row["mean"] - s / n) <= 4.5 * width["mean"]
    assert any("rho 100" in english for english, _ in release.notes)


# --- a gateway that does not heed the way of release ----------------------------------------------------------------


def test_data_that_answer_with_noise_only_join_no_exact_secure_sum(platform):
    for node in platform.nodes.values():
        digest = node.bundle.digest
        node.bundle = replace(
            made_platform.with_parameters(node.bundle, method="noise"), digest=digest
        )
    text = 'SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"'
    fragment = platform.fragment(text, "c1", "secure_sum")
    with pytest.raises(MiddleplatformError) as caught:
        platform.rounds["c1"].hello(*platform.signed(fragment))
    assert caught.value.code == "D012"
    assert len(platform.rounds["c1"]) == 0
    noisy = platform.fragment(text, "c1", "secure_sum", noise="1")
    assert platform.rounds["c1"].hello(*platform.signed(noisy))
