"""A department's engineer registers a source with the installed program, by the commands of the guide."""

import json
import signal

import duckdb
import pytest

ROWS = 1_500_000
TABLE = """
CREATE TABLE RKXX AS SELECT
  '990101' || strftime(DATE '1950-01-01' + CAST(i % 20000 AS INTEGER), '%Y%m%d') || lpad(CAST(i % 1000 AS VARCHAR), 3, '0') || 'X'
    AS sfzh,
  '居民' || i AS name, CAST(1 + i % 2 AS VARCHAR) AS SEX, CAST(1950 + i % 60 AS INTEGER) AS birth_year,
  '99010' || (1 + i % 6) AS region_code, CAST(i % 20 AS INTEGER) AS education_years, 'h' || (i // 3) AS household_id
FROM range({rows}) AS t(i)
"""
MAPS = ("--map", "ga.population=RKXX", "--map", "ga.population.id_number=sfzh")


def database(path, rows):
    with duckdb.connect(str(path)) as connection:
        connection.execute(TABLE.format(rows=rows))
    return path


@pytest.fixture
def engineer(product, tmp_path):
    """Return what runs a connector command in a state folder of its own."""
    path = database(tmp_path / "rk.duckdb", 600)

    def run(command, *arguments):
        return product("connector", command, *arguments, "--state", str(tmp_path / "node"))

    run.path, run.files = path, tmp_path / "node" / "connectors"
    return run


def added(run, *more):
    return run(
        "add",
        "main",
        "--kind",
        "duckdb",
        "--department",
        "ga",
        "--option",
        f"path={run.path}",
        *more,
    )


def test_a_source_is_registered_tested_profiled_and_published(engineer):
    ran = added(engineer, *MAPS)
    assert ran.returncode == 0, ran.stderr
    assert "not mapped: ga.population.key_person_flag" in ran.stderr
    refused = engineer("publish", "main")
    assert (refused.returncode, refused.stderr.count("is only proposed")) == (17, 1)
    assert "it was not tested" in refused.stderr
    assert engineer("map", "main", "--accept").returncode == 0
    assert engineer("test", "main").returncode == 0
    profile = json.loads(engineer("profile", "main", "--json").stdout)
    (key,) = [
        each
        for each in profile["datasets"]["ga.population"]["columns"]
        if each["name"] == "id_number"
    ]
    assert key["counts"]["bad_check"] > 0
    published = engineer("publish", "main", "--by", "engineer")
    assert published.returncode == 0, published.stderr
    (listed,) = json.loads(engineer("list", "--json").stdout)
    assert (listed["state"], list(listed["datasets"])) == ("published", ["ga.population"])
    assert sorted(each.name for each in engineer.files.iterdir()) == [
        "main.profile.json",
        "main.published.json",
        "main.yaml",
    ]


def test_the_commands_speak_chinese(engineer):
    ran = added(engineer, *MAPS, "--locale", "zh")
    assert "未映射：ga.population.key_person_flag" in ran.stderr
    assert "建议的映射须经确认" in ran.stderr
    assert "最近一次修改后尚未检验" in engineer("publish", "main", "--locale", "zh").stderr


def test_a_changed_source_is_named_and_refused(engineer):
    added(engineer, *MAPS, "--accept")
    with duckdb.connect(str(engineer.path)) as connection:
        connection.execute("ALTER TABLE RKXX DROP COLUMN SEX")
    ran = engineer("test", "main", "--json")
    assert ran.returncode == 17
    failed = [each for each in json.loads(ran.stdout) if each["state"] == "failed"]
    assert [(each["where"], each["said"]) for each in failed] == [
        ("RKXX.SEX", "the column is gone")
    ]


def test_an_interrupted_profile_ends_soon_and_leaves_nothing_half_written(product, tmp_path):
    state = str(tmp_path / "node")
    path = database(tmp_path / "large.duckdb", ROWS)
    option = f"path={path}"
    ran = product(
        "connector", "add", "main", "--kind", "duckdb", "--department", "ga", "--option", option, *MAPS, "--accept", "--state", state
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    process = product.start("connector", "profile", "main", "--progress", "--state", state)
    try:
        assert process.stderr.readline().startswith("profile: statement 1 of")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert [each.name for each in (tmp_path / "node" / "connectors").iterdir()] == ["main.yaml"]
