"""A department with one DuckDB file whose defects are known by number, and everything to register it with."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.demo.keys import identity_numbers
from middleplatform.node.registration.profile import make_profile
from middleplatform.node.registration.publication import Publisher, publish
from middleplatform.node.registration.register import Request, register, remap
from middleplatform.node.registration.trial import run_test
from middleplatform.policy.examples import example

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
PEOPLE = 400


class Clock:
    def now(self):
        return NOW


def numbers():
    """Return sound identity numbers, one a person."""
    bodies = [
        f"99010{1 + place % 6}19{50 + place % 40}0{1 + place % 9}1{place % 10}{place:03}"
        for place in range(PEOPLE)
    ]
    return identity_numbers(bodies)


def write(path, statements=()):
    """Write the file: the population under names of its own, with defects."""
    ids = numbers()
    ids[0] = ids[1]  # registered twice
    ids[2] = ids[2][:17] + ("1" if ids[2][17] != "1" else "2")  # a wrong check character
    ids[3] = f" {ids[3]}"
    ids[4] = ids[4][:6] + ids[4][8:17]  # the old form
    rows = [
        (
            ids[place], f"居民{place:06}", "1" if place % 2 else "2" if place else "9",
            1950 + place % 40, f"99010{1 + place % 6}", None if place < 25 else 9, f"h{place // 3}",
            f"1391234{place:04}",
        )
        for place in range(PEOPLE)
    ]  # fmt: skip
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE RKXX (SFZH VARCHAR, 姓名 VARCHAR, SEX VARCHAR, BirthYear INTEGER, region_code VARCHAR,"
            " education_years INTEGER, household_id VARCHAR, 联系方式 VARCHAR)"
        )
        arriving = pa.table(dict(zip("abcdefgh", map(list, zip(*rows, strict=True)), strict=True)))
        connection.register("arriving", arriving)
        connection.execute("INSERT INTO RKXX FROM arriving")
        for statement in statements:
            connection.execute(statement)
    return path


@dataclass
class Department:
    """A department at its own state folder."""

    folder: Path
    catalog: object
    bundle: object
    entries: list = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    @property
    def state(self):
        return self.folder / "state"

    @property
    def path(self):
        return self.folder / "population.duckdb"

    def add(self, *mappings, name="main", **more):
        request = Request(name, "ga", "duckdb", {"path": str(self.path)}, mappings, **more)
        return register(self.state, request, self.catalog, self.clock)

    def mapped(self):
        return self.add("ga.population=RKXX", "ga.population.id_number=SFZH", accept=True)

    def remap(self, *mappings, **more):
        return remap(self.state, "main", mappings, self.catalog, **more)

    def test(self):
        return run_test(self.state, "main", self.catalog, self.clock)

    def profile(self):
        return make_profile(self.state, "main", self.catalog, self.clock)

    def publish(self, name="main", **changes):
        publisher = Publisher(
            self.catalog, self.bundle, self.clock, "engineer", self.entries.append
        )
        return publish(self.state, name, replace(publisher, **changes))

    def alter(self, *statements):
        with duckdb.connect(str(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)

    def with_dataset(self, **changes):
        """Return the catalogue with another ga.population."""
        dataset = replace(self.catalog.datasets["ga.population"], **changes)
        return replace(self.catalog, datasets={**self.catalog.datasets, "ga.population": dataset})


@pytest.fixture(scope="session")
def written():
    folder = example("demo")
    catalog = catalogs.load(folder / "catalog")
    return SimpleNamespace(catalog=catalog, bundle=policies.load(folder, catalog))


@pytest.fixture
def department(tmp_path, written):
    made = Department(tmp_path, written.catalog, written.bundle)
    write(made.path)
    return made


@pytest.fixture
def future():
    return date(2026, 3, 2)
