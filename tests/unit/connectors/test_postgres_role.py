"""A role that may do more than read is told what, and is not let near the data."""

import pytest
from postgres_server import READER, SCHEMA, running_server

from connectors.postgres import PostgresConnector, least_privilege_sql
from connectors.spi import ConnectorError, ErrorKind


@pytest.fixture(scope="module")
def server():
    with running_server() as started:
        started.run(
            f"CREATE SCHEMA {SCHEMA}; CREATE SCHEMA other; CREATE TABLE {SCHEMA}.t (x int, y int);"
            "CREATE TABLE other.elsewhere (x int); CREATE SEQUENCE other.numbers;"
            f"CREATE ROLE friend; GRANT SELECT ON {SCHEMA}.t TO {READER};"
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {READER}"
        )
        yield started


def connect(server, **more):
    options = {"dbname": "postgres", "user": READER, "schema": SCHEMA, **more}
    PostgresConnector(host="127.0.0.1", port=server.port, **options).close()


def refusal(server, **more):
    with pytest.raises(ConnectorError) as caught:
        connect(server, **more)
    assert caught.value.kind is ErrorKind.REFUSED
    return caught.value.detail


WIDENED = [
    (f"ALTER ROLE {READER} SUPERUSER", f"ALTER ROLE {READER} NOSUPERUSER", "reader is a superuser"),
    (f"ALTER ROLE {READER} BYPASSRLS", f"ALTER ROLE {READER} NOBYPASSRLS", "has BYPASSRLS"),
    (f"ALTER ROLE {READER} CREATEROLE", f"ALTER ROLE {READER} NOCREATEROLE", "has CREATEROLE"),
    (f"ALTER ROLE {READER} CREATEDB", f"ALTER ROLE {READER} NOCREATEDB", "has CREATEDB"),
    (f"ALTER ROLE {READER} REPLICATION", f"ALTER ROLE {READER} NOREPLICATION", "has REPLICATION"),
    (f"GRANT pg_read_server_files TO {READER}", f"REVOKE pg_read_server_files FROM {READER}", "member of pg_read_server_files"),
    (f"ALTER DATABASE postgres OWNER TO {READER}", "ALTER DATABASE postgres OWNER TO postgres", "it owns the database"),
    (f"ALTER TABLE {SCHEMA}.t OWNER TO {READER}", f"ALTER TABLE {SCHEMA}.t OWNER TO postgres", f"it owns {SCHEMA}.t"),
    (f"GRANT CREATE ON DATABASE postgres TO {READER}", f"REVOKE CREATE ON DATABASE postgres FROM {READER}", "may create schemas"),
    (f"GRANT CREATE ON SCHEMA {SCHEMA} TO PUBLIC", f"REVOKE CREATE ON SCHEMA {SCHEMA} FROM PUBLIC", "may create objects"),
    *(
        (f"GRANT {right} ON {SCHEMA}.t TO {READER}", f"REVOKE {right} ON {SCHEMA}.t FROM {READER}", f"may change {SCHEMA}.t")
        for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "UPDATE (y)", "INSERT (y)")
    ),
    ("GRANT DELETE ON other.elsewhere TO PUBLIC", "REVOKE DELETE ON other.elsewhere FROM PUBLIC", "may change other.elsewhere"),
    (f"GRANT UPDATE ON SEQUENCE other.numbers TO {READER}", f"REVOKE ALL ON SEQUENCE other.numbers FROM {READER}", "may advance"),
    (
        f"GRANT friend TO {READER}; GRANT INSERT ON {SCHEMA}.t TO friend; ALTER ROLE {READER} NOINHERIT",
        f"REVOKE friend FROM {READER}; REVOKE INSERT ON {SCHEMA}.t FROM friend; ALTER ROLE {READER} INHERIT",
        "friend may change",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("widen", "narrow", "told"), WIDENED, ids=lambda text: text[:40])
def test_a_role_that_may_do_more_than_read_is_refused_with_what_to_do(server, widen, narrow, told):
    server.run(widen)
    detail = refusal(server)
    server.run(narrow)
    assert told in detail
    assert any(word in detail for word in ("ALTER", "REVOKE"))
    connect(server)


def test_a_role_without_the_schema_is_told_which_grant_is_missing(server):
    assert "GRANT USAGE ON SCHEMA other" in refusal(server, schema="other")


def test_a_schema_that_is_not_there_is_missing(server):
    with pytest.raises(ConnectorError) as caught:
        connect(server, schema="gone")
    assert caught.value.kind is ErrorKind.MISSING


def test_a_database_in_another_encoding_is_refused(server):
    server.run("CREATE DATABASE old ENCODING 'EUC_CN' LOCALE 'C' TEMPLATE template0")
    assert "EUC_CN" in refusal(server, dbname="old", schema="public")


@pytest.mark.parametrize("tables", [(), ("t",)])
def test_the_role_of_the_setup_script_is_let_in_and_reads(server, tables):
    server.run(least_privilege_sql(SCHEMA, tables, "platform"))
    try:
        connector = PostgresConnector(
            host="127.0.0.1", port=server.port, dbname="postgres", user="platform", schema=SCHEMA
        )
        assert list(connector.describe()) == ["t"]
        connector.close()
    finally:
        server.run("DROP OWNED BY platform; DROP ROLE platform")
