"""Small worlds over the cases bundle: four hundred made people, and one about whom nothing may be learnt."""

import asyncio
import datetime as dt
import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa

from middleplatform.crypto.identity import IdentityKey
from middleplatform.demo.runtime import Platform, SystemRng, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject
from middleplatform.model.result import Answer
from middleplatform.policy.examples import example
from middleplatform.settings import Settings

ANALYST = Subject("analyst", "stats", frozenset({Role.ANALYST}), ("*",))
TARGET = "990199000000009999"
INCOME = Decimal("512345.67")

Row = Sequence[object]

TABLES = {
    "tax": "CREATE TABLE taxpayers (id_number VARCHAR, name VARCHAR, district VARCHAR, industry VARCHAR,"
    " income DECIMAL(14,2), tax_paid DECIMAL(14,2))",
    "health": "CREATE TABLE visits (id_number VARCHAR, district VARCHAR, diagnosis VARCHAR, cost DECIMAL(14,2),"
    " visit_date DATE)",
    "social": "CREATE TABLE pensions (id_number VARCHAR, district VARCHAR, amount DECIMAL(14,2))",
}


def taxpayers(income: Decimal | None = INCOME) -> list[Row]:
    """Return the people of district A to D; the target alone is of district A, industry W."""
    made = random.Random(20240601)
    rows: list[Row] = [
        (
            f"9901990000000{i:05d}",
            f"n{i}",
            "ABCD"[i % 4],
            "XYZ"[i // 4 % 3],
            made.randrange(1_000, 600_000),
            made.randrange(80_000),
        )
        for i in range(400)
    ]
    return [*rows, (TARGET, "t", "A", "W", income, 70_000)]


def visits() -> list[Row]:
    """Return two or three visits a person; the target alone has one in every month, and in district E."""
    made = random.Random(7)
    rows: list[Row] = []
    for i in range(400):
        rows += [
            (
                f"9901990000000{i:05d}",
                "ABCD"[i % 4],
                made.choice(["J00", "J01", "K02"]),
                made.randrange(10, 9_000),
                dt.date(2024, made.randrange(1, 13), 5),
            )
            for _ in range(2 + i % 2)
        ]
    return rows + [
        (TARGET, "E", "E11", 100 + month, dt.date(2024, month, 9)) for month in range(1, 13)
    ]


def write(path: Path, table: str, rows: Iterable[Row]) -> None:
    """Write a department's file, or one more table into it."""
    ddl = TABLES[table]
    name = ddl.split()[2]
    with duckdb.connect(str(path)) as connection:
        connection.execute(ddl)
        schema = connection.sql(f"SELECT * FROM {name}").to_arrow_table().schema
        # Whole columns: the engine takes a hundred times as long over single rows.
        columns = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        connection.register("arriving", pa.table(columns, schema=schema))
        connection.execute(f"INSERT INTO {name} SELECT * FROM arriving")


def opened(
    folder: Path,
    people: Iterable[Row] | None = None,
    seen: Iterable[Row] | None = None,
    *,
    catalog: Path | None = None,
    bundle: Path | None = None,
) -> Platform:
    """Open a platform over the cases bundle, or over a variant of it, with made rows."""
    data = folder / "data"
    data.mkdir(parents=True)
    write(data / "tax.duckdb", "tax", taxpayers() if people is None else people)
    write(data / "health.duckdb", "health", visits() if seen is None else seen)
    write(data / "social.duckdb", "social", [("990199000000000001", "A", 1)])
    own = Path(str(example("cases")))
    return open_platform(
        Settings(
            state=folder / "state",
            data=data,
            catalog=catalog or own / "catalog",
            bundle=bundle or own,
        )
    )


def ask(
    platform: Platform,
    sql: str,
    who: Subject = ANALYST,
    purpose: str = "statistics",
    project: str = "",
) -> Answer:
    """Ask through the gateway.

    Raises:
        MiddleplatformError: As the gateway.
    """
    gateway = platform.gateway
    return asyncio.run(gateway.submit(gateway.request(sql, who, purpose, project=project)))


def seen_by_analyst(platform: Platform, sql: str) -> object:
    """Return all that an analyst sees of a question: the error's code, or values, marks and what was withheld."""
    try:
        release = ask(platform, sql).release
    except MiddleplatformError as error:
        return (error.code, error.rule)
    withheld = [(each.reason, each.cells) for each in release.withheld]
    return release.table.to_pylist(), release.marks.to_pylist(), withheld


def fragment(
    platform: Platform,
    department: str,
    sql: str,
    *,
    query_id: str = "",
    subject: Subject = ANALYST,
    purpose: str = "statistics",
    project: str = "stats",
    protocol: str = "local",
    cohort: tuple[str, ...] = (),
) -> tuple[bytes, bytes]:
    """Return a fragment as a lying gateway would write it, signed with the gateway's own key."""
    rng = SystemRng()
    body = Fragment(
        query_id or rng.token_bytes(16).hex(),
        1,
        0,
        department,
        protocol,
        cohort or (department,),
        sql,
        subject,
        purpose,
        project,
        "00" * 32,
        platform.gateway.clock.now().isoformat(),
    ).to_bytes()
    key = IdentityKey.load_or_create(platform.settings.state / "gateway.key", rng)
    return body, key.sign("fragment", body)
