"""How a PostgreSQL source is named: no secret in an option, in a text or in an error, and no plain-text connection."""

import pytest

from connectors.postgres import PostgresConnector, least_privilege_sql
from connectors.postgres_options import PostgresOptions, conninfo, password, session_settings
from connectors.spi import ConnectorError, ErrorKind

HERE = {"host": "127.0.0.1", "dbname": "d", "user": "reader"}
SECRET = "p'a ss\\word"


def refusal(action):
    with pytest.raises(ConnectorError) as caught:
        action()
    assert caught.value.kind is ErrorKind.REFUSED
    return caught.value.detail


def checked(**options):
    return PostgresOptions(**options).checked()


def test_uri_and_single_options_mean_the_same():
    uri = "postgresql://%E6%9F%A5@db.example:5433/%E5%BA%93?sslmode=verify-ca&sslrootcert=ca.pem"
    assert checked(uri=uri) == checked(
        host="db.example", port=5433, dbname="库", user="查", sslmode="verify-ca", sslrootcert="ca.pem"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"uri": "postgresql://u:secret@h/d"}, "password"),
        ({"uri": "postgresql://u@h/d?password=secret"}, "password"),
        ({"uri": "mysql://u@h/d"}, "uri must be"),
        ({"uri": "postgresql://u@h/d?options=-c%20role%3Dpostgres"}, "uri must be"),
        ({"uri": "postgresql://u@h:port/d"}, "cannot be read"),
        ({"uri": "postgresql://u@h/d", "user": "v"}, "either uri or"),
        ({"host": "127.0.0.1", "dbname": "d"}, "user must be set"),
        ({**HERE, "schema": "a\0b"}, "schema must be set"),
        ({**HERE, "connections": 0}, "connections must be"),
        ({**HERE, "password_env": "A", "passfile": "b"}, "name one of"),
        ({**HERE, "sslmode": "verify"}, "sslmode"),
        ({**HERE, "host": "db.example", "sslmode": "prefer"}, "sslmode"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name_and_without_the_secret(options, told):
    detail = refusal(lambda: checked(**options))
    assert told in detail
    assert "secret" not in detail


def test_unknown_options_are_no_options():
    with pytest.raises(TypeError):
        PostgresConnector(**HERE, password=SECRET)


@pytest.mark.parametrize(
    ("host", "mode"),
    [("127.0.0.1", "prefer"), ("/run/postgresql", "prefer"), ("db.example", "verify-full")],
)
def test_another_machine_must_prove_who_it_is(host, mode):
    assert checked(**{**HERE, "host": host}).sslmode == mode


def test_password_comes_from_a_file_that_only_its_owner_reads(tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n", encoding="utf-8")
    options = checked(**HERE, password_file=path)
    path.chmod(0o640)
    assert refusal(lambda: password(options)).endswith(f"chmod 600 {path}")
    path.chmod(0o600)
    assert password(options) == SECRET
    assert SECRET not in repr(options)


def test_passfile_that_others_read_and_file_that_is_absent_are_refused(tmp_path):
    path = tmp_path / "pgpass"
    assert "No such file" in refusal(lambda: password(checked(**HERE, password_file=path)))
    path.write_text("*:*:*:*:x", encoding="utf-8")
    path.chmod(0o644)
    assert "others may read" in refusal(lambda: password(checked(**HERE, passfile=path)))


def test_password_comes_from_an_environment_variable_that_is_set(monkeypatch):
    options = checked(**HERE, password_env="DEPARTMENT_PASSWORD")
    monkeypatch.delenv("DEPARTMENT_PASSWORD", raising=False)
    assert "DEPARTMENT_PASSWORD is empty" in refusal(lambda: password(options))
    monkeypatch.setenv("DEPARTMENT_PASSWORD", SECRET)
    assert password(options) == SECRET


def test_connection_string_quotes_what_it_holds():
    options = checked(**{**HERE, "dbname": "x' user='postgres"})
    found = conninfo(options, SECRET)
    assert r"dbname='x\' user=\'postgres'" in found
    assert r"password='p\'a ss\\word'" in found


def test_the_catalogue_comes_first_on_the_path_so_that_nothing_stands_in_for_it():
    path = session_settings(checked(**HERE, schema='a"b'))["search_path"]
    assert path == 'pg_catalog, "a""b", pg_temp'


def test_working_memory_is_shared_among_processes():
    settings = session_settings(checked(**HERE, memory_mb=1024, threads=4))
    assert (settings["work_mem"], settings["max_parallel_workers_per_gather"]) == ("65536kB", "3")


def test_setup_sql_grants_reading_of_the_named_tables_and_nothing_else():
    sql = least_privilege_sql("部门", ["人", 'x"; DROP TABLE y; --'], "reader")
    grants = [line for line in sql.splitlines() if line.startswith("GRANT")]
    assert grants == [
        'GRANT USAGE ON SCHEMA "部门" TO "reader";',
        'GRANT SELECT ON "部门"."人" TO "reader";',
        'GRANT SELECT ON "部门"."x""; DROP TABLE y; --" TO "reader";',
    ]
    assert "PASSWORD" not in sql
