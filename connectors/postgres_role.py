"""The role that the platform logs in as: may read the tables of one schema, and nothing else.

Checked for every connection that is made, so a role that somebody widened is refused from then on.
"""

from collections.abc import Iterable, Sequence

from connectors.postgres_options import quoted

__all__ = ["EXCESS", "excess_sql", "least_privilege_sql"]

_SETUP = """\
-- Run as an administrator of the database. A password is set apart, so that it stands in no script:
-- \\password {name}
CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT
    CONNECTION LIMIT 10;
ALTER ROLE {role} SET default_transaction_read_only = on;
ALTER ROLE {role} SET statement_timeout = '5min';
-- Only an administrator may set this one; it bounds what large statements write to disk.
ALTER ROLE {role} SET temp_file_limit = '10GB';
-- Before version 15 everybody may create objects in the schema public.
REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {role};
{grants}
"""

EXCESS = "REVOKE or ALTER as told, or make a role as in docs/reference/connectors-postgres.md"
"""What a refusal says after naming what the role may do and must not."""

# One row for each thing that the role may do and must not. What the roles may do that it is a member
# of counts: it could become one of them. A superuser is a member of all, so that comes first.
_EXCESS = """
WITH role AS (
    SELECT * FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')
), own AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relation AS (
    SELECT c.oid, c.relkind, c.relowner, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class AS c JOIN own AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
), found (place, what, remedy) AS (
    SELECT 1, format('%I is a superuser', rolname), format('ALTER ROLE %I NOSUPERUSER', rolname)
    FROM role WHERE rolsuper
    UNION ALL
    SELECT 2, format('%I has %s', rolname, attribute),
        format('ALTER ROLE %I NO%s', rolname, attribute)
    FROM role, LATERAL (VALUES
        ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole),
        ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication)
    ) AS has (attribute, present) WHERE present
    UNION ALL
    SELECT 3, format('it is a member of %I', rolname),
        format('REVOKE %I FROM %I', rolname, current_user)
    FROM role WHERE rolname ~ '^pg_'
    UNION ALL
    SELECT 4, 'it owns the database', format('ALTER DATABASE %I OWNER TO another', datname)
    FROM pg_database
    WHERE datname = current_database() AND pg_has_role(current_user, datdba, 'MEMBER')
    UNION ALL
    SELECT 5, format('%I may create schemas', rolname),
        format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I', current_database(), rolname)
    FROM role WHERE has_database_privilege(rolname, current_database(), 'CREATE')
    UNION ALL
    SELECT 6, format('%I may create objects in schema %I', rolname, nspname),
        format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', nspname, rolname)
    FROM own, role WHERE has_schema_privilege(role.oid, own.oid, 'CREATE')
    UNION ALL
    SELECT 7, format('it owns %s', name), format('ALTER TABLE %s OWNER TO another', name)
    FROM relation WHERE pg_has_role(current_user, relowner, 'MEMBER')
    UNION ALL
    SELECT 8, format('%I may change %s', rolname, name),
        format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON %s FROM PUBLIC, %I',
            name, rolname)
    FROM relation, role WHERE relkind <> 'S' AND (
        has_table_privilege(
            role.oid, relation.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        OR has_any_column_privilege(role.oid, relation.oid, 'INSERT, UPDATE, REFERENCES'))
    UNION ALL
    SELECT 9, format('%I may advance sequence %s', rolname, name),
        format('REVOKE ALL ON SEQUENCE %s FROM PUBLIC, %I', name, rolname)
    FROM relation, role WHERE CASE WHEN relkind = 'S'
        THEN has_sequence_privilege(role.oid, relation.oid, 'USAGE, UPDATE') END
)
SELECT what || ': ' || remedy AS what FROM found ORDER BY place, what LIMIT 5
"""


def excess_sql() -> str:
    """Return the statement that tells what the role of a connection may do beyond reading.

    Its one column ``what`` says what is wrong and how to put it right; no row is as it should be.
    """
    return _EXCESS


def least_privilege_sql(schema: str, tables: Iterable[str], role: str) -> str:
    """Return the SQL with which an administrator makes a role that may read these tables only.

    Args:
        schema: That holds them.
        tables: Tables and views to be read; every one of the schema when empty.
        role: To be made; it must not exist.
    """
    return _SETUP.format(
        name=role,
        role=quoted(role),
        schema=quoted(schema),
        grants="\n".join(_grants(schema, tuple(tables), role)),
    )


def _grants(schema: str, tables: Sequence[str], role: str) -> list[str]:
    if not tables:
        return [f"GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(schema)} TO {quoted(role)};"]
    return [
        f"GRANT SELECT ON {quoted(schema)}.{quoted(table)} TO {quoted(role)};" for table in tables
    ]
