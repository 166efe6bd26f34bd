"""What a private join is estimated to cost, and where its size alone refuses it."""

from dataclasses import replace

import join_world as world
import pytest
from join_world import P_Y, SUMS, block

from middleplatform.errors import LimitError
from middleplatform.planner.join_cost import Cost, declared, estimate

SIZES = {"ga.person": 1_000_000, "hb.year": 3_000_000, "hb.visit": 500_000}
SQL = f"SELECT p.region, SUM(y.cost) FROM {P_Y} WHERE y.year = 2022 GROUP BY 1"


def sized(**sizes):
    datasets = dict(world.CATALOG.datasets)
    for name, rows in sizes.items():
        dataset = name.replace("_", ".")
        datasets[dataset] = replace(datasets[dataset], rows=rows)
    return replace(world.CATALOG, digest=f"sized{sizes}", datasets=datasets)


def test_an_estimate_counts_rows_bytes_and_seconds():
    found = estimate(block(SQL).join, SIZES)
    assert isinstance(found, Cost)
    assert found.rows == 4_000_000
    assert found.bytes == 1_000_000 * 20 + 3_000_000 * (20 + 8 * 4) + 4 * 1_000_000
    assert 1 < found.seconds < 20


def test_more_evidence_and_second_keys_cost_more():
    plain = estimate(block(SQL).join, SIZES)
    strict = estimate(block(SQL, bundle=world.STRICT_BUNDLE).join, SIZES)
    assert strict.rows == plain.rows
    assert strict.bytes > plain.bytes
    assert strict.seconds > plain.seconds
    keys = f"SELECT COUNT(DISTINCT p.household), SUM(y.cost) FROM {P_Y} WHERE y.year = 2022"
    assert estimate(block(keys).join, SIZES).bytes > plain.bytes


def test_blinded_keys_cost_two_orders_of_magnitude_more_time():
    rule = replace(world.BUNDLE.datasets["hb.year"], join="blinded")
    bundle = replace(world.BUNDLE, datasets={**world.BUNDLE.datasets, "hb.year": rule})
    helper, blinded = (estimate(block(SQL, bundle=each).join, SIZES) for each in (world.BUNDLE, bundle))  # fmt: skip
    assert blinded.seconds > 50 * helper.seconds
    assert blinded.bytes > helper.bytes


def test_an_unknown_size_has_no_estimate():
    sql = f"SELECT COUNT(*) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id"
    assert estimate(block(sql).join, SIZES).rows == 1_500_000
    assert estimate(block(sql).join, {"ga.person": 5}) is None
    assert declared(world.CATALOG) == {}


def test_a_join_larger_than_policy_allows_is_refused_where_its_size_is_known():
    bundle = world.make_bundle(join_rows_max=1_000)
    assert block(SQL, bundle=bundle, catalog=sized(ga_person=900)).join
    assert block(SQL, bundle=bundle, catalog=sized(ga_person=900, hb_year=100)).join
    with pytest.raises(LimitError) as caught:
        block(SQL, bundle=bundle, catalog=sized(ga_person=901, hb_year=100))
    assert caught.value.code == "L005"
    assert "1000" in caught.value.message("en")
