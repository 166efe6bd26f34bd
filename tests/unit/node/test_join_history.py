"""What a side brings to a private join is compared with what was released of it before, and kept."""

import made_join
import made_world as made
import pytest

from middleplatform.errors import DisclosureError, MiddleplatformError
from middleplatform.model.policy import PrivacyRule

ALL = "SELECT COUNT(*) AS n, SUM(t.paid) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id"


@pytest.fixture
def parties(tmp_path):
    with made_join.Parties(tmp_path, made_join.bundle(history=True)) as opened:
        yield opened


def lists(parties, sql, **changes):
    return parties.join(sql, **changes).open().agree().lists()


def test_a_side_that_differs_from_an_earlier_one_by_few_units_is_refused(parties):
    lists(parties, ALL)
    close = f"{ALL} WHERE p.birth_year <> {few(parties)}"
    with pytest.raises(DisclosureError) as caught:
        lists(parties, close)
    assert caught.value.code == "D010"
    event, body = parties.last("ga")
    assert (event, body["code"]) == ("refused", "D010")


def test_the_same_side_may_come_again_and_another_project_is_asked_nothing(parties):
    lists(parties, ALL)
    lists(parties, ALL)
    lists(parties, f"{ALL} WHERE p.birth_year <> {few(parties)}", project="other")


def test_a_side_is_compared_with_local_answers_too(parties):
    first = parties.join(ALL)
    text = f'SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0" WHERE "t0"."birth_year" <> {few(parties)}'
    fragment = first.fragment("ga", protocol="local", cohort=("ga",), sql=text, query_id="local")
    assert parties.nodes["ga"].answer(*parties.signed(fragment)).cells.num_rows == 1
    with pytest.raises(DisclosureError):
        lists(parties, ALL)


def test_a_short_list_is_not_kept(parties):
    small = f"{ALL} WHERE p.birth_year = {few(parties)}"
    assert lists(parties, small).heads["ga"].short
    assert not parties.nodes["ga"].history.any("drc", "ga.person|id")
    assert parties.nodes["tax"].history.any("drc", "tax.payer|id")


def test_data_that_answer_with_noise_only_are_not_listed_for_a_join(tmp_path):
    with made_join.Parties(
        tmp_path, made_join.bundle(method="noise", privacy=PrivacyRule())
    ) as found:
        for noise, code in (("", "D012"), ("1/50", "Q031")):
            with pytest.raises(MiddleplatformError) as caught:
                found.join(ALL, noise=noise).open()
            assert caught.value.code == code
        assert not found.nodes["ga"].history.any("drc", "ga.person|id")


def few(parties, below=0):
    """Return a year of birth that fewer people have than the threshold, and somebody; so many are older at least."""
    years = sorted(row[5] for row in parties.rows["person"])
    return next(
        year
        for year in dict.fromkeys(years[below:])
        if years.count(year) < made.STRICT.min_units and years.index(year) >= below
    )


def band(year):
    return ALL.replace("SELECT", f"SELECT CASE WHEN p.birth_year < {year} THEN 'o' ELSE 'y' END AS d,") + " GROUP BY 1"  # fmt: skip


def under(year):
    return ALL.replace("COUNT(*)", f"COUNT(*) FILTER (WHERE p.birth_year < {year})")


@pytest.mark.parametrize("question", [band, under])
def test_the_sides_own_groups_and_conditions_are_compared_too(parties, question):
    year = few(parties, below=made.STRICT.min_units)
    lists(parties, question(year))
    lists(parties, question(year))
    with pytest.raises(DisclosureError):
        lists(parties, question(year + 1))
