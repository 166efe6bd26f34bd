"""Catalogues that gateways of a shared store have worked with, in order: they all work with the newest.

Spec: docs/spec/shared-store.md, "Catalogue".
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import JSON, Column, Connection, Integer, String, Table, Text, func, insert, select

from middleplatform.store.database import UtcTime, metadata

__all__ = ["add", "catalogs", "newest"]

catalogs = Table(
    "catalogs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("files", JSON, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
"""One row a version: the files of the catalogue's folder as the first gateway that had it read them."""


def newest(connection: Connection) -> tuple[int, str] | None:
    """Return number and digest of the newest version."""
    row = connection.execute(
        select(catalogs.c.number, catalogs.c.digest).order_by(catalogs.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else (row.number, row.digest)


def add(
    connection: Connection, digest: str, files: Mapping[str, str], gateway: str, at: datetime
) -> int:
    """Keep a version and return its number; in a writing transaction."""
    number = (connection.execute(select(func.max(catalogs.c.number))).scalar() or 0) + 1
    connection.execute(
        insert(catalogs).values(
            number=number, digest=digest, files=dict(files), gateway=gateway, at=at
        )
    )
    return number
