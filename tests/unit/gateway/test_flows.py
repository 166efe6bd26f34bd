"""What would cross the wire, told before anything runs: every party, bounds that hold, nothing of data."""

import pytest
from demo_gateway import demo_gateway
from demo_pool import CASES


@pytest.fixture(scope="module")
def gateway():
    return demo_gateway()


def _flows(gateway, case, **more):
    request = gateway.request(case.sql, case.subject, case.purpose, project=case.project, **more)
    return request, gateway.explain(request).flows


@pytest.mark.parametrize("name", ["Q01", "C01", "Q02", "D01", "Q12"])
def test_every_question_begins_and_ends_with_the_analyst(gateway, name):
    request, found = _flows(gateway, CASES[name])
    assert (found[0].sender, found[0].receiver) == ("analyst", "gateway")
    assert (found[-1].sender, found[-1].receiver) == ("gateway", "analyst")
    assert found[0].bytes_max >= len(request.sql.encode())
    assert all("gateway" in (each.sender, each.receiver) for each in found), (
        "departments do not meet"
    )
    assert all(each.bytes_max is None or each.bytes_max > 0 for each in found)


def test_a_local_question_is_one_fragment_and_one_reply(gateway):
    _, found = _flows(gateway, CASES["Q01"])
    assert [(each.sender, each.receiver) for each in found[1:-1]] == [
        ("gateway", "ga"),
        ("ga", "gateway"),
    ]


def test_a_secure_sum_asks_every_department(gateway):
    _, found = _flows(gateway, CASES["C01"])
    asked = {each.receiver for each in found if each.sender == "gateway"} - {"analyst"}
    assert asked == set(gateway.catalog.datasets["amr_county.enterprise"].held_by)


def test_a_private_join_is_bounded_by_declared_sizes(gateway):
    _, found = _flows(gateway, CASES["Q02"])
    lists = [each for each in found if each.what[0].startswith("nameless rows")]
    assert {each.sender for each in lists} == {"ga", "health", "ss"}
    declared = gateway.catalog.datasets["health.encounter_year"].rows
    assert all(each.bytes_max is not None for each in lists)
    assert max(each.bytes_max for each in lists) >= declared * 20
    assert any(each.what[0].startswith("places") for each in found)


def test_the_bound_on_cells_follows_code_lists_and_the_policy(gateway):
    sex = gateway.request(
        "SELECT sex, COUNT(*) FROM ga.population GROUP BY sex", CASES["Q01"].subject, "statistics"
    )
    band = gateway.request(
        "SELECT birth_year, COUNT(*) FROM ga.population GROUP BY 1",
        CASES["Q01"].subject,
        "statistics",
    )
    small, large = (gateway.explain(each).flows[2].bytes_max for each in (sex, band))
    assert small < 10_000
    assert large > gateway.bundle.limits.cells_max


def test_a_refused_question_moves_nothing(gateway):
    assert _flows(gateway, CASES["R01-key"])[1] == ()
