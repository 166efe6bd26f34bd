"""The made world of ``bench_hundred_departments``: one table in many departments, a catalogue and a policy for it."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file
from pathlib import Path

import duckdb
import yaml

from connectors.spi import Connector
from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import Subject
from middleplatform.policy import suite
from middleplatform.policy.examples import example

__all__ = ["QUESTIONS", "Remembering", "World", "load_world", "write_world"]

FIRMS, YEARS = 40, 4
"""In each department: firms, each inspected once a year."""

_TABLE = "amr_county.inspection"
QUESTIONS: Mapping[str, str] = {
    "counts": f"SELECT inspect_year, COUNT(*) AS n FROM {_TABLE} GROUP BY inspect_year",
    "sums, with dominance judged": (
        f"SELECT inspect_year, COUNT(*) AS n, SUM(score) AS total FROM {_TABLE} "
        "GROUP BY inspect_year"
    ),
}


@dataclass(frozen=True)
class World:
    """What every party reads.

    Attributes:
        departments: Codes, ascending.
        data: Folder of the departments' databases.
        catalog: As loaded.
        bundle: As loaded.
        analyst: Who asks.
    """

    departments: tuple[str, ...]
    data: Path
    catalog: Catalog
    bundle: Bundle
    analyst: Subject

    def expected(self, question: str) -> list[tuple[object, ...]]:
        """Return the right answer."""
        held = len(self.departments)
        counts = [(2020 + year, FIRMS * held) for year in range(YEARS)]
        if question == "counts":
            return counts
        each = sum(60 + firm for firm in range(FIRMS))
        return [(year, count, held * (each + year)) for year, count in counts]


def write_world(folder: Path, departments: tuple[str, ...]) -> None:
    """Write catalogue, policy and databases under ``folder``, from the shipped demonstration's."""
    with as_file(example("demo")) as demo:
        shutil.copytree(demo, folder / "bundle")
    catalog = folder / "catalog"
    shutil.move(folder / "bundle" / "catalog", catalog)
    _edit(catalog / "amr.yaml", lambda body: _held_by(body, departments))
    _edit(catalog / "departments.yaml", lambda body: _add(body, departments))
    # The rules of the demonstration's public registers judge no dominance; the baseline's do.
    _edit(folder / "bundle" / "columns.yaml", lambda body: body["datasets"][_TABLE].pop("disclosure"))  # fmt: skip
    _write_databases(folder / "data", departments)


def load_world(folder: Path, departments: tuple[str, ...]) -> World:
    """Read what ``write_world`` wrote; starts no thread."""
    catalog = catalogs.load(folder / "catalog")
    bundle = policies.load(folder / "bundle", catalog)
    analyst = suite.personas(example("demo") / "personas.yaml")["analyst_drc"]
    return World(departments, folder / "data", catalog, bundle, analyst)


class Remembering:
    """A connector that asks its engine once for each statement: the rounds are measured, not the engines."""

    def __init__(self, inner: Connector) -> None:
        self._inner, self._found = inner, {}

    def _once(self, key, call):
        if key not in self._found:
            self._found[key] = call()
        return self._found[key]

    def describe(self, names=()):
        key = ("describe", *sorted(names))
        return self._once(key, lambda: self._inner.describe(names))

    def capabilities(self):
        return self._inner.capabilities()

    def execute(self, statement, limits):
        key = (statement.kind, statement.sql)
        return self._once(key, lambda: self._inner.execute(statement, limits))

    def scan(self, statement, kernel, result, limits):
        return self._inner.scan(statement, kernel, result, limits)

    def close(self):
        self._inner.close()


def _edit(path: Path, change) -> None:
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(body)
    path.write_text(yaml.safe_dump(body, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _held_by(body: dict, departments: tuple[str, ...]) -> None:
    body["datasets"][_TABLE]["held_by"] = list(departments)


def _add(body: dict, departments: tuple[str, ...]) -> None:
    body["departments"] += [
        {"code": code, "name_zh": f"测试区 {code}", "name_en": f"Made district {code}", "level": "county",
         "region": "990101", "parent": "amr"}
        for code in departments
    ]  # fmt: skip


def _write_databases(folder: Path, departments: tuple[str, ...]) -> None:
    folder.mkdir()
    for at, code in enumerate(departments):
        with duckdb.connect(str(folder / f"{code}.duckdb")) as database:
            database.execute(
                "CREATE TABLE inspection AS SELECT 'firm ' || (? * 1000 + firm) AS uscc, "
                "CAST(2020 + year AS BIGINT) AS inspect_year, "
                "CAST(60 + firm + CASE WHEN firm = 0 THEN 2020 + year ELSE 0 END AS BIGINT) AS score "
                "FROM range(?) f(firm), range(?) y(year)",
                [at, FIRMS, YEARS],
            )
