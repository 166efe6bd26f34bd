"""A secure sum end to end between three nodes in this process: pooled sums, and no round survives a fault."""

import made_platform
import made_world as made
import pytest

from middleplatform.crypto.sum_words import round_key
from middleplatform.errors import MiddleplatformError, ProtocolError, SourceError
from middleplatform.node.served import ServedFragments

SECTION = "SELECT section, COUNT(*) AS n, SUM(staff) AS staff, SUM(capital) AS capital, AVG(staff) AS mean, STDDEV_SAMP(staff) AS sd FROM city.firm GROUP BY section"  # fmt: skip
CITY = made_platform.CITY


@pytest.fixture(scope="module")
def loose(tmp_path_factory):
    """Return a platform whose rules do not withhold by dominance, so that sums show."""
    bundle = made_platform.with_parameters(dominance=(), p_percent=0, homogeneity=False)
    rows = made_platform.complete_rows()
    folder = tmp_path_factory.mktemp("loose")
    with (
        made_platform.Platform(folder, bundle, rows) as platform,
        made.World(folder, rows) as world,
    ):
        yield platform, world


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    bundle = made_platform.with_parameters(homogeneity=False)
    rows = made_platform.complete_rows()
    with made_platform.Platform(tmp_path_factory.mktemp("small"), bundle, rows) as platform:
        yield platform


def test_totals_are_the_pooled_plain_ones(loose):
    platform, world = loose
    answer = platform.ask(SECTION)
    assert answer.protocol == "secure_sum"
    assert made.alike(made.rows_of(answer.release.table), world.plain(SECTION))


def test_filters_joins_and_conditions_add_up_too(loose):
    platform, world = loose
    for sql in (
        "SELECT f.section, COUNT(*) AS n FROM city.firm f JOIN city.visit v ON f.code = v.code WHERE v.passed = 1 GROUP BY f.section",
        "SELECT COUNT(*) FILTER (WHERE staff >= 10) AS n, SUM(capital / 4) AS c FROM city.firm",
        "SELECT COUNT(*) AS n, SUM(v) AS s FROM (SELECT code, COUNT(*) AS v FROM city.visit GROUP BY code) u",
    ):
        assert made.alike(made.rows_of(platform.ask(sql).release.table), world.plain(sql)), sql


def test_dominated_totals_are_withheld(tmp_path):
    rows = made_platform.complete_rows()
    rows["firm"] = [(*row[:3], 100000, row[4], row[5]) if place < 1 else row for place, row in enumerate(rows["firm"])]  # fmt: skip
    bundle = made_platform.with_parameters(homogeneity=False)
    with made_platform.Platform(tmp_path, bundle, rows) as platform:
        answer = platform.ask("SELECT SUM(capital) AS c, COUNT(*) AS n FROM city.firm")
        assert answer.release.marks["c"].to_pylist()[0] in ("dominance", "p_percent")
        assert answer.release.table["n"].to_pylist() == [150]


def test_groups_of_few_units_are_not_shown(tmp_path):
    rows = made_platform.complete_rows()
    rows["firm"] = [(*row[:2], "Z" if place < 9 else "A", *row[3:]) for place, row in enumerate(rows["firm"])]  # fmt: skip
    with made_platform.Platform(tmp_path, rows=rows) as platform:
        answer = platform.ask("SELECT section, COUNT(*) AS n FROM city.firm GROUP BY section")
        assert answer.release.table["section"].to_pylist() == ["A"]
        assert [each.reason for each in answer.release.withheld] == ["threshold"]


def test_nothing_at_all_is_an_empty_answer(loose):
    answer = loose[0].ask("SELECT section, COUNT(*) AS n FROM city.firm WHERE section = 'none' GROUP BY section")  # fmt: skip
    assert answer.release.table.num_rows == 0


class Faulty:
    """A link that breaks at one step."""

    def __init__(self, link, step, fault):
        self._link, self.step, self.fault, self.department = link, step, fault, link.department
        self.dropped = 0

    def __getattr__(self, name):
        whole = getattr(self._link, name)

        async def call(*args):
            if name == "drop":
                self.dropped += 1
            if name != self.step:
                return await whole(*args)
            return self.fault(await whole(*args))

        return call


def gone(_):
    raise SourceError("S001", department="c2")


STEPS = ["hello", "agree", "codes", "cells", "ladder", "reveal"]


@pytest.mark.parametrize("step", STEPS)
def test_a_department_that_drops_out_ends_the_round_and_nothing_is_released(small, step):
    platform = small
    platform.use_link(Faulty(platform.links["c2"], step, gone))
    with pytest.raises(MiddleplatformError) as caught:
        platform.ask("SELECT SUM(staff) FROM city.firm")
    assert caught.value.code == "S001"
    assert [event for event, _ in platform.entries()][-2:] == ["received", "failed"]
    assert not any(len(rounds) for rounds in platform.rounds.values())


@pytest.mark.parametrize("step", ["hello", "codes", "cells", "ladder"])
def test_a_changed_message_ends_the_round(small, step):
    def flipped(raw):
        return raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]

    small.use_link(Faulty(small.links["c2"], step, flipped))
    with pytest.raises(ProtocolError) as caught:
        small.ask("SELECT SUM(staff) FROM city.firm")
    assert caught.value.code == "X001"


def test_a_round_is_opened_once(platform):
    fragment = platform.fragment('SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"', "c1", "secure_sum")  # fmt: skip
    rounds = platform.rounds["c1"]
    rounds.hello(*platform.signed(fragment))
    with pytest.raises(ProtocolError) as caught:
        rounds.hello(*platform.signed(fragment))
    assert caught.value.code == "X002"


def test_a_restarted_node_refuses_a_used_round(platform):
    fragment = platform.fragment('SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"', "c1", "secure_sum")  # fmt: skip
    platform.rounds["c1"].hello(*platform.signed(fragment))
    platform.nodes["c1"].served = ServedFragments(None, platform.clock)
    with pytest.raises(ProtocolError) as caught:
        platform.rounds["c1"].hello(*platform.signed(fragment))
    assert caught.value.code == "X002"


def test_steps_of_no_round_or_out_of_order_are_refused(platform):
    rounds = platform.rounds["c1"]
    for call in (lambda: rounds.agree("x", []), lambda: rounds.codes("x", None), lambda: rounds.cells("x", []), lambda: rounds.ladder("x", []), lambda: rounds.reveal("x", [])):  # fmt: skip
        with pytest.raises(ProtocolError) as caught:
            call()
        assert caught.value.code == "X001"
    fragment = platform.fragment('SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"', "c1", "secure_sum")  # fmt: skip
    rounds.hello(*platform.signed(fragment))
    key = round_key(fragment)
    with pytest.raises(ProtocolError):
        rounds.cells(key, [])
    rounds.drop(key)
    rounds.drop(key)
    with pytest.raises(ProtocolError):
        rounds.agree(key, [])
