"""Made people in two departments, with identity numbers of an unused region: the plain rows of a private join."""

from datetime import date, timedelta
from decimal import Decimal

import made_join
import numpy as np

from middleplatform.demo.keys import identity_numbers

REGIONS = ("990101", "990102", "990103")
DISTRICTS = ("东", "西")
BOTH = (
    "SELECT p.region AS d0, t.district AS d1, COUNT(*) AS n, SUM(t.paid) AS a0, SUM(p.education) AS a1"
    " FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region, t.district"
)
FAN = (
    "SELECT p.region AS d0, i.kind AS d1, COUNT(*) AS n, SUM(i.amount) AS a0"
    " FROM ga.person p JOIN ga.income i ON p.id = i.id GROUP BY p.region, i.kind"
)
THREE = (
    "SELECT p.region AS d0, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id"
    " JOIN ga.income i ON i.id = p.id WHERE i.year = 2023 GROUP BY p.region"
)
DAYS = 48
_FIRST = date(1980, 1, 1)


def region_numbers(region="990101", days=DAYS):
    """Return every identity number of a region whose holder was born on one of these days: 1,000 a day."""
    dates = [_FIRST + timedelta(days=at) for at in range(days)]
    return identity_numbers(
        [f"{region}{each:%Y%m%d}{serial:03}" for each in dates for serial in range(1000)]
    )


def people(persons=600, seed=990101):
    """Return rows by bare table; two thirds of the persons pay, and some pay who are nobody's."""
    draw = np.random.default_rng(seed)
    numbers = region_numbers()
    chosen = [numbers[at] for at in draw.choice(len(numbers), persons + persons // 9, replace=False)]  # fmt: skip
    held = made_join.rows()
    held["person"] = [_person(draw, identity) for identity in sorted(chosen[:persons])]
    held["payer"] = [
        (identity, DISTRICTS[int(draw.integers(2))], Decimal(int(draw.integers(1, 90000))) / 100)
        for identity in chosen[persons // 3 :]
    ]
    held["income"] = [
        _income(draw, identity)
        for identity in chosen[: 4 * persons // 5]
        for _ in range(int(draw.integers(1, 4)))
    ]
    return held


def _person(draw, identity):
    region, sex = REGIONS[int(draw.integers(3))], "12"[int(draw.integers(2))]
    day = date(int(identity[6:10]), 1, 1)
    return (
        identity, int(draw.integers(300)), f"名{identity}", region, sex, int(identity[6:10]), day, True, int(draw.integers(1, 20)), "A01",
    )  # fmt: skip


def _income(draw, identity):
    kind, amount = ("工资", "经营")[int(draw.integers(2))], Decimal(int(draw.integers(1, 500000))) / 100  # fmt: skip
    year = 2022 + int(draw.integers(2))
    return (identity, "F01", year, kind, amount, 3, date(2024, 3, 15))


def by_unit(held):
    """Return region and education, and district and paid, by identity number."""
    return (
        {row[0]: (row[3], row[8]) for row in held["person"]},
        {row[0]: (row[1], row[2]) for row in held["payer"]},
    )
