"""The sacrificial people: made, deterministic, of the region that is assigned to nobody.

Nobody is harmed when an attack on them succeeds. Most of them are the only one with their street, occupation and year
of birth, as real people are; whether one gets a benefit does not depend on anything else that is known of him, so that
the best guess without an answer is the majority's, and whatever is better than that was disclosed. Forty workplaces are
an exception: in each of them all get it, or nobody does.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["COLUMNS", "DATASET", "KEY", "PLAIN", "RARE", "SHARE", "Everyone", "made", "write"]

DATASET = "trial.allowance"
KEY = "id_number"
PLAIN = ("sex", "birth_year", "county", "street", "occupation", "workplace", "status")
"""Dimensions: what an attacker may know of everybody."""
COLUMNS = (KEY, *PLAIN, "benefit", "income")
RARE = tuple("23456789")
"""Codes of ``status`` that one person of each street has."""
SHARE = 0.24
"""How many get the benefit, but in the workplaces that are of one kind."""

_PEOPLE, _STREETS, _OCCUPATIONS, _COUNTIES = 3000, 50, 20, 6
_SMALL, _SMALL_SIZE, _SMALL_PAID, _LARGE = 40, 12, 10, 20
_YEARS = (1940, 2006)
_SEED = 990100

Texts = npt.NDArray[np.str_]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Everyone:
    """All people, by column; place ``i`` of every array is person ``i``.

    Attributes:
        plain: Values of ``PLAIN``, which an attacker is taken to know of everybody.
        benefit: What each gets, 0 or more, in yuan. The secret.
        income: In yuan. Secret too.
        key: Identity numbers, made.
    """

    plain: dict[str, Texts | Numbers]
    benefit: Numbers
    income: Numbers
    key: Texts

    def __len__(self) -> int:
        return len(self.key)

    @property
    def paid(self) -> npt.NDArray[np.bool_]:
        """Return who gets the benefit: what the attacks are after."""
        return self.benefit > 0

    def ordinary(self) -> Numbers:
        """Return the places of the people whose benefit depends on nothing."""
        return np.flatnonzero(~self._small())

    def same_workplace(self) -> Numbers:
        """Return the places of the others."""
        return np.flatnonzero(self._small())

    def without(self, places: Numbers) -> "Everyone":
        """Return the others: another day's snapshot.

        Args:
            places: Of those who have left.
        """
        kept = np.setdiff1d(np.arange(len(self)), places)
        plain = {name: values[kept] for name, values in self.plain.items()}
        return Everyone(plain, self.benefit[kept], self.income[kept], self.key[kept])

    def _small(self) -> npt.NDArray[np.bool_]:
        return np.isin(self.plain["workplace"], _codes("W", np.arange(1, _SMALL + 1), 2))


def made(seed: int = _SEED) -> Everyone:
    """Make the people.

    Args:
        seed: Others for another number.
    """
    draw = np.random.default_rng(seed)
    count, small = _PEOPLE, _SMALL * _SMALL_SIZE
    street = draw.permutation(np.arange(count) % _STREETS)
    year = draw.integers(*_YEARS, count)
    workplace = np.concatenate(
        [np.arange(small) % _SMALL, _SMALL + np.arange(count - small) % _LARGE]
    )
    paid = draw.random(count) < SHARE
    paid[:small] = workplace[:small] < _SMALL_PAID
    county = street % _COUNTIES
    key = [
        f"9901{1 + place:02d}{born}{1 + n // 1000:02d}01{n % 1000:03d}0"
        for n, (place, born) in enumerate(zip(county.tolist(), year.tolist(), strict=True))
    ]
    plain: dict[str, Texts | Numbers] = {
        "sex": _codes("", 1 + draw.integers(0, 2, count), 1),
        "birth_year": year,
        "county": _codes("9901", 1 + county, 2),
        "street": _codes("S", 1 + street, 2),
        "occupation": _codes("J", 1 + draw.integers(0, _OCCUPATIONS, count), 2),
        "workplace": _codes("W", 1 + workplace, 2),
        "status": _statuses(street, small),
    }
    amount = 10 * draw.integers(30, 91, count)
    return Everyone(
        plain, np.where(paid, amount, 0), 10 * draw.integers(100, 6001, count), np.array(key)
    )


def _codes(start: str, numbers: Numbers, digits: int) -> Texts:
    return np.array([f"{start}{number:0{digits}d}" for number in numbers.tolist()])


def _statuses(street: Numbers, small: int) -> Texts:
    """Give one ordinary person of each street each rare status."""
    status = np.full(len(street), "1")
    for each in range(_STREETS):
        status[small + np.flatnonzero(street[small:] == each)[: len(RARE)]] = RARE
    return status


def write(people: Everyone, path: Path) -> None:
    """Write the department's database anew.

    Args:
        people: Whose rows, one each.
        path: DuckDB file.
    """
    path.unlink(missing_ok=True)
    arriving = pa.table(
        {
            KEY: people.key,
            **people.plain,
            "benefit": people.benefit,
            "income": people.income,
        }
    )
    with duckdb.connect(str(path)) as connection:
        connection.register("arriving", arriving)
        connection.execute(
            "CREATE TABLE allowance AS SELECT * REPLACE (CAST(benefit AS DECIMAL(12, 2)) AS benefit,"
            " CAST(income AS DECIMAL(12, 2)) AS income) FROM arriving ORDER BY id_number"
        )
