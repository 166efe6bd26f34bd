"""Does every question of the demonstration that joins departments get the pooled answer, suppression apart?"""

import pytest
from asking import ask
from demo_pool import CASES, JOINS, check, pooled

PLAIN = [case for case in JOINS if not case.sealed]
TWELVE = {f"Q{number:02}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 12)}


@pytest.fixture(scope="module")
def pool(demo_data):
    with pooled(demo_data) as database:
        yield database


def asked(platform, case):
    return ask(platform, case.sql, case.subject, case.purpose, project=case.project)


def test_nine_of_the_twelve_questions_are_private_joins():
    assert {case.id for case in PLAIN} >= TWELVE
    assert all(CASES[f"Q{number:02}"].protocol == "local" for number in (1, 9, 11))


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.id)
def test_the_answer_is_the_pooled_one(case, demo_platform, pool):
    outcome = asked(demo_platform, case)
    assert not outcome.refused, outcome.message
    assert outcome.answer.protocol == "private_join"
    rows = [tuple(row.values()) for row in outcome.rows]
    check(pool, case, outcome.answer.release.table.column_names, rows, outcome.withheld)


def test_old_people_without_insurance_are_too_few_by_district_and_the_total_is_offered(
    demo_platform,
):
    outcome = asked(demo_platform, CASES["Q08"])
    assert outcome.rows == []
    offered = [
        english for english, _ in outcome.answer.release.notes if "without groups" in english
    ]
    assert len(offered) == 1
    again = ask(
        demo_platform,
        offered[0].partition(": ")[2],
        CASES["Q08"].subject,
        "planning",
        project="uninsured_city",
    )
    total = asked(demo_platform, CASES["Q08-total"])
    assert (again.refused, again.rows, total.rows) == (False, [{"a0": None}], [{"n": None}]), (
        "two people: below ten"
    )
