"""``connector`` in process: what is wrong is said once, clearly, and nothing is written."""

import json

import duckdb
import pytest

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.node.journal import Journal


@pytest.fixture
def engineer(shell, tmp_path):
    """Return what runs a connector command in a state folder of its own."""
    path = tmp_path / "rk.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE population (id_number VARCHAR, SEX VARCHAR)")

    def run(command, *arguments):
        return shell("connector", command, *arguments, "--state", str(tmp_path / "node"))

    run.path, run.files = path, tmp_path / "node" / "connectors"
    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--kind", "nonsense", "--option", "path=x"), "no connector of kind 'nonsense'"),
        (
            ("--kind", "duckdb", "--option", "path=absent.duckdb"),
            "there is no source at that place",
        ),
        (("--kind", "duckdb", "--option", "path"), "is not key=value"),
        (("--kind", "duckdb"), "option path is missing"),
        (
            ("--kind", "duckdb", "--option", "path=x", "--option", "colour=1"),
            "unknown option colour",
        ),
        (
            ("--kind", "duckdb", "--option", "path=x", "--option", "password=y"),
            "unknown option password",
        ),
    ],
)
def test_a_bad_registration_is_refused_with_one_clear_message_and_leaves_nothing(
    engineer, arguments, says
):
    ran = engineer("add", "main", "--department", "ga", *arguments)
    assert (ran.code, ran.out) == (17, "")
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert not engineer.files.exists()


def test_a_file_that_is_no_database_and_an_unknown_department_are_refused(engineer, tmp_path):
    (tmp_path / "text.duckdb").write_text("no database at all, " * 500)
    ran = engineer(
        "add",
        "main",
        "--kind",
        "duckdb",
        "--department",
        "ga",
        "--option",
        f"path={tmp_path / 'text.duckdb'}",
    )
    assert (ran.code, "the source failed, or is not of this kind" in ran.err) == (17, True)
    ran = engineer(
        "add", "main", "--kind", "duckdb", "--department", "zz", "--option", f"path={engineer.path}"
    )
    assert (ran.code, "is not in the catalogue" in ran.err) == (17, True)
    assert not engineer.files.exists()


def test_what_is_registered_is_listed_and_shown_in_either_form(engineer):
    ran = engineer(
        "add",
        "main",
        "--kind",
        "duckdb",
        "--department",
        "ga",
        "--option",
        f"path={engineer.path}",
        "--json",
    )
    assert ran.code == 0, ran.err
    made = json.loads(ran.out)
    assert made["datasets"]["ga.population"]["columns"]["sex"] == {
        "physical": "SEX",
        "how": "letters",
        "state": "proposed",
    }
    assert {each["column"] for each in made["unmapped"]} > {"birth_year"}
    assert "duckdb" in engineer("list").out
    assert "physical: SEX" in engineer("show", "main").out
    assert json.loads(engineer("show", "main", "--json").out)["profile"] is None


def test_the_sources_own_words_are_for_the_engineer_and_not_part_of_the_message(engineer):
    engineer(
        "add", "main", "--kind", "duckdb", "--department", "ga", "--option", f"path={engineer.path}"
    )
    engineer.path.unlink()
    ran = engineer("profile", "main")
    assert ran.code == 17
    assert ran.err.startswith("The source says: no file at")
    assert json.loads(engineer("profile", "main", "--json").out)["code"] == "C013"


def test_a_third_party_connector_is_allowed_by_kind_and_distribution(engineer):
    ran = engineer("add", "main", "--kind", "x", "--department", "ga", "--allow", "x")
    assert (ran.code, "KIND=DISTRIBUTION" in ran.err) == (17, True)
    ran = engineer("add", "main", "--kind", "x", "--department", "ga", "--allow", "x=absent")
    assert (ran.code, "no connector of kind 'x'" in ran.err) == (17, True)


@pytest.fixture
def ready(engineer, shell, tmp_path):
    """Return an engineer whose source is mapped and tested, on the machine of a node."""
    with duckdb.connect(str(engineer.path)) as connection:
        connection.execute("DROP TABLE population")
        connection.execute(
            "CREATE TABLE population (id_number VARCHAR, name VARCHAR, sex VARCHAR, birth_year INTEGER,"
            " region_code VARCHAR, education_years INTEGER, household_id VARCHAR)"
        )
    made = shell(
        "node",
        "init",
        "--state",
        str(tmp_path / "node"),
        "--department",
        "ga",
        "--unencrypted",
    )
    assert made.code == 0, made.err
    assert (
        engineer(
            "add",
            "main",
            "--kind",
            "duckdb",
            "--department",
            "ga",
            "--option",
            f"path={engineer.path}",
        ).code
        == 0
    )
    assert engineer("test", "main").code == 0
    return engineer


def test_a_publication_is_entered_in_the_nodes_log(ready, shell, tmp_path):
    ran = ready("publish", "main", "--by", "engineer")
    assert ran.code == 0, ran.err
    shown = shell("audit", "show", "0", "--log", str(tmp_path / "node" / "audit.db"), "--json")
    entry = json.loads(shown.out)
    assert (entry["event"], entry["body"]["connector"], entry["body"]["by"]) == (
        "connector",
        "main",
        "engineer",
    )


def test_while_the_node_runs_nothing_is_published_by_half(ready, tmp_path):
    before = (ready.files / "main.yaml").read_bytes()
    with Journal.open(tmp_path / "node", "ga", "mp.internal", SystemClock(), SystemRng()):
        ran = ready("publish", "main")
    assert (ran.code, ran.err.splitlines()[0][:4]) == (16, "A003")
    assert (ready.files / "main.yaml").read_bytes() == before
    assert not (ready.files / "main.published.json").exists()
    assert ready("publish", "main").code == 0
