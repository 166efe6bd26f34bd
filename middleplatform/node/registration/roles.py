"""The role through which a node reads a database server: one that may read, and nothing else.

Reveals:
    Nothing: it is text for the department's own administrator.
"""

from collections.abc import Sequence

from connectors.postgres import least_privilege_sql

__all__ = ["reader_sql"]


def reader_sql(schema: str, tables: Sequence[str], role: str) -> str:
    """Return the SQL with which an administrator of PostgreSQL makes a role that may read these tables only.

    Args:
        schema: That holds them.
        tables: Tables and views to be read; every one of the schema when empty.
        role: To be made; it must not exist.
    """
    return least_privilege_sql(schema, tables, role)
