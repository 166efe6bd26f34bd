"""Private joins equal the plain answer over pooled rows: both protocols, plain and sealed; nothing small is shown."""

import json
from dataclasses import replace
from hashlib import sha256

import pooled_world as world
import pytest
from asking import ANALYST, Outcome, ask, opened
from hypothesis import given
from join_strategies import joined
from pooled_answers import agree, plain, released, unmatched
from sealed_world import opening_key, texts
from strategies import examples

from middleplatform.access import shapes
from middleplatform.client.book import OpenedBook
from middleplatform.client.opening import open_answer
from middleplatform.crypto.identity import PinnedKeys


@pytest.fixture(scope="module")
def rows():
    return world.rows()


@pytest.fixture(scope="module")
def pool(rows):
    with world.pooled(rows, once=True) as connection:
        yield connection


def governed(folder, rows, disclosure, **rules):
    """Yield a function that asks a platform; each statement in a project of its own."""
    world.write_data(folder / "data", rows)
    catalog, bundle = world.write_rules(folder, disclosure, **rules)
    with opened(folder / "state", folder / "data", catalog, bundle) as platform:
        yield lambda sql: ask(platform, sql, project=sha256(sql.encode()).hexdigest())


@pytest.fixture(scope="module")
def helper(rows, tmp_path_factory):
    yield from governed(tmp_path_factory.mktemp("helper"), rows, world.EXACT)


@pytest.fixture(scope="module")
def blinded(rows, tmp_path_factory):
    yield from governed(tmp_path_factory.mktemp("blinded"), rows, world.EXACT, join="blinded")


@pytest.fixture(scope="module")
def strict(rows, tmp_path_factory):
    yield from governed(tmp_path_factory.mktemp("strict"), rows, world.STRICT)


@pytest.fixture(scope="module")
def sealed(rows, tmp_path_factory):
    """Yield a function that asks for a sealed answer and opens it with the recipient's key."""
    folder = tmp_path_factory.mktemp("sealed")
    world.write_data(folder / "data", rows)
    catalog, bundle = world.write_rules(folder, world.EXACT, release="both")
    key = opening_key(ANALYST.id)
    with opened(folder / "state", folder / "data", catalog, bundle) as platform:
        desk = platform.gateway.sealing
        published = desk.publish(ANALYST, *texts(key))
        parties = PinnedKeys({name: bytes.fromhex(each) for name, each in desk.parties().items()})
        book = OpenedBook(None)

        def ask_sealed(sql):
            project = sha256(sql.encode()).hexdigest()
            outcome = ask(platform, sql, project=project, sealed_for=published.id)
            if outcome.refused:
                return outcome
            document = json.loads(json.dumps(shapes.answer(outcome.answer)))
            return Outcome(replace(outcome.answer, release=open_answer(document, key, parties, book).release))  # fmt: skip

        yield ask_sealed


def check(answered, pool, sql):
    outcome = answered(sql)
    assert not outcome.refused, f"{outcome.code} {outcome.message}\n{sql}"
    assert "private_join" in outcome.answer.protocol
    found, marks = released(outcome)
    assert all(mark is None for row in marks for mark in row), sql
    left, right = unmatched(found, plain(pool, sql))
    assert (left, right) == ([], []), sql


@examples(180)
@given(asked=joined())
def test_the_helper_protocol_answers_as_pooled_rows_would(helper, pool, asked):
    check(helper, pool, asked.sql)


@examples(70)
@given(asked=joined())
def test_the_blinded_protocol_answers_as_pooled_rows_would(blinded, pool, asked):
    check(blinded, pool, asked.sql)


@examples(60)
@given(asked=joined())
def test_what_a_recipient_opens_is_the_pooled_answer(sealed, pool, asked):
    check(sealed, pool, asked.sql)


@examples(80)
@given(asked=joined())
def test_under_a_strict_policy_what_is_shown_is_right_and_covers_enough_units(strict, pool, asked):
    outcome = strict(asked.sql)
    if outcome.refused:
        assert outcome.code in ("Q031", "D010", "P001"), (
            f"{outcome.code} {outcome.message}\n{asked.sql}"
        )
        return
    width = asked.width
    found, marks = released(outcome)
    expected = {row[:width]: row[width:] for row in plain(pool, asked.sql)}
    for row, mark in zip(found, marks, strict=True):
        shown = [place for place in range(width, len(row)) if mark[place] is None]
        for place in shown:
            assert agree(row[place], expected[row[:width]][place - width]), asked.sql


UNORDERED = (
    "SELECT p.region, v.kind, COUNT(*) AS n, SUM(v.cost) AS s FROM hb.visits AS v JOIN ga.people AS p ON p.id = v.id GROUP BY 1, 2",
    "SELECT c.plan, COUNT(*) AS n, AVG(p.income) AS a FROM ga.people AS p LEFT JOIN hb.card AS c ON c.id = p.id GROUP BY 1",
)  # fmt: skip


@pytest.mark.parametrize("sql", UNORDERED)
def test_the_same_question_gives_the_same_rows_in_the_same_order(helper, blinded, sealed, sql):
    """Lists go through in a fresh secret order each time; nothing of it shows in an answer."""
    answers = [ask(sql).answer.release for ask in (helper, helper, blinded, sealed)]
    assert len({each.digest for each in answers}) == 1
    assert answers[0].table.num_rows > 3
