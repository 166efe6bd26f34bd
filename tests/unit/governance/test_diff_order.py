"""Which of two verdicts is the looser; what goes both ways counts as a loosening."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from middleplatform.governance.cells import Kind, Verdict
from middleplatform.governance.order import Direction, of_bands, of_buckets, of_verdicts

OTHER, LOOSENS, TIGHTENS, BOTH = Direction.OTHER, Direction.LOOSENS, Direction.TIGHTENS, Direction.BOTH  # fmt: skip
DENIED, ASKS = Verdict(Kind.REFUSED, "R3"), Verdict(Kind.NEEDS_GRANT, "G1", release=("plain",))
MAY = Verdict(Kind.PERMITTED, release=("plain",), min_units=10, min_units_inside=10)
MAY, ASKS = (replace(each, imposed_by="ga", min_units=10, min_units_inside=10) for each in (MAY, ASKS))  # fmt: skip
BAND = replace(MAY, rewrites=(("band", ("birth_year", "5")),))
SOONER, LATER = datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC)


def until(end, then=DENIED):
    return replace(MAY, until=end, later=(then,))


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (DENIED, ASKS, LOOSENS), (ASKS, BAND, LOOSENS), (BAND, MAY, LOOSENS), (DENIED, MAY, LOOSENS),
        (DENIED, replace(DENIED, rule="R1"), OTHER), (MAY, replace(MAY, imposed_by="tax"), OTHER),
        (MAY, replace(MAY, min_units=20), TIGHTENS), (MAY, replace(MAY, min_units_inside=1), LOOSENS),
        (ASKS, replace(ASKS, min_units=5), LOOSENS),
        (MAY, replace(MAY, release=("plain", "sealed")), LOOSENS), (MAY, replace(MAY, release=("sealed",)), BOTH),
        (MAY, replace(MAY, regions=("990101",)), TIGHTENS), (MAY, replace(MAY, regions=()), TIGHTENS),
        (replace(MAY, regions=("990100",)), replace(MAY, regions=("990101", "990102")), TIGHTENS),
        (replace(MAY, regions=("990101",)), replace(MAY, regions=("990102",)), BOTH),
        (BAND, replace(MAY, rewrites=(("band", ("birth_year", "10")),)), TIGHTENS),
        (BAND, replace(MAY, rewrites=(("band", ("birth_year", "7")),)), BOTH),
        (MAY, replace(MAY, rewrites=(("withhold", ("icd10", "F10-F69")),)), TIGHTENS),
        (MAY, replace(MAY, min_units=20, release=("plain", "sealed")), BOTH),
        (until(SOONER), until(LATER), LOOSENS), (until(LATER), MAY, LOOSENS), (until(SOONER), until(SOONER, ASKS), LOOSENS),
        (until(LATER), replace(until(SOONER), min_units=5), BOTH),
        (until(SOONER), replace(DENIED, until=SOONER, later=(MAY,)), BOTH),
    ],
)  # fmt: skip
def test_a_change_of_verdict_has_its_direction_and_the_opposite_one_back(old, new, direction):
    turned = {LOOSENS: TIGHTENS, TIGHTENS: LOOSENS}.get(direction, direction)
    assert (of_verdicts(old, new), of_verdicts(new, old)) == (direction, turned)
    assert of_verdicts(new, new) is OTHER


def test_wider_bands_that_hold_narrower_ones_and_coarser_buckets_are_tighter():
    assert [of_bands(*each) for each in ((0, 5), (5, 10), (10, 5), (5, 0), (4, 6), (5, 5))] == [TIGHTENS, TIGHTENS, LOOSENS, LOOSENS, BOTH, OTHER]  # fmt: skip
    assert [of_buckets(*each) for each in (("", "month"), ("month", "year"), ("year", "quarter"), ("week", "year"))] == [TIGHTENS, TIGHTENS, LOOSENS, BOTH]  # fmt: skip
