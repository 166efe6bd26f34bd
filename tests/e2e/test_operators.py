"""Do two operators, with nothing but the installed program and its guides, bring a department onto the platform?"""

import json
import shutil
import socket

import pytest

from middleplatform.policy.examples import example

STATISTICS = ("--as", "analyst_drc", "--purpose", "statistics")
OLD = "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= 60 GROUP BY region_code ORDER BY 1"


@pytest.fixture
def told(product):
    """Run a command that must succeed and return what it says as JSON."""

    def run(*arguments):
        done = product(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "o"
    made.mkdir()
    return made


def enrolled(product, told, folder, address):
    """Enrol department ga at ``address`` by the commands of docs/enrolment.md, fingerprints compared."""
    platform = told("gateway", "init", "--trust", str(folder / "gw"), "--unencrypted")
    asked = told("node", "init", "--department", "ga", "--state", str(folder / "ga"), "--unencrypted")  # fmt: skip
    admit = ("gateway", "admit", asked["request"], "--trust", str(folder / "gw"), "--address", address, "--out", str(folder / "ga.admission"))  # fmt: skip
    wrong = product(*admit, "--fingerprint", "0" * 64)
    assert (wrong.returncode, "X006" in wrong.stderr) == (14, True)
    told(*admit, "--fingerprint", asked["fingerprint"])
    told("node", "enroll", str(folder / "ga.admission"), "--state", str(folder / "ga"), "--fingerprint", platform["platform_fingerprint"])  # fmt: skip


def registered(told, product, folder):
    """Register the department's database by the commands of docs/howto/register-a-connector.md."""
    state = ("--state", str(folder / "ga"))
    data = product.folder / "var" / "departments" / "ga.duckdb"
    told("connector", "add", "main", "--kind", "duckdb", "--department", "ga", "--option", f"path={data}", *state)  # fmt: skip
    for command in ("test", "profile", "publish"):
        told("connector", command, "main", *state)


def test_a_department_comes_onto_the_platform_answers_and_leaves_by_its_own_will(
    product, told, folder
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    enrolled(product, told, folder, address)
    registered(told, product, folder)
    config = folder / "node.yaml"
    shipped = shutil.copytree(str(example("demo")), folder / "own-copy")
    config.write_text(
        f"department: ga\nstate: ga\nlisten: {address}\ncatalog: {shipped.name}/catalog\nbundle: {shipped.name}\n"
        "stewards: [{id: steward_ga, roles: [department_steward]}]\n",
        encoding="utf-8",
    )
    expected = told("query", *STATISTICS, OLD)["rows"]
    node = product.start("node", "serve", "--config", str(config))
    remote = {
        "MIDDLEPLATFORM_STATE": str(folder / "log"),
        "MIDDLEPLATFORM_TRUST": str(folder / "gw"),
    }
    product.environment.update(remote)
    try:
        assert address in node.stdout.readline()
        assert told("query", *STATISTICS, OLD)["rows"] == expected
        own = told("node", "own", "--config", str(config), "--steward", "steward_ga", "--purpose", "data_quality", "SELECT COUNT(*) - COUNT(DISTINCT id_number) AS n FROM ga.population")  # fmt: skip
        assert own["rows"] == [[1]]
        told("node", "revoke", "gateway", "--state", str(folder / "ga"))
        refused = product("query", *STATISTICS, OLD)
        assert (refused.returncode, "X006" in refused.stderr) == (14, True), refused.stderr
        told("node", "revoke", "gateway", "--lift", "--state", str(folder / "ga"))
        assert told("query", *STATISTICS, OLD)["rows"] == expected
        absent = product("query", *STATISTICS, "SELECT COUNT(*) FROM health.encounter_year")
        assert (absent.returncode, "X006" in absent.stderr) == (14, True), absent.stderr
    finally:
        for name in remote:
            del product.environment[name]
        node.terminate()
        out, err = node.communicate(timeout=60)
    assert (node.returncode, err) == (0, ""), out
    logs = (
        "--platform",
        str(folder / "log" / "audit.db"),
        "--node",
        str(folder / "ga" / "audit.db"),
    )
    agreed = told("audit", "reconcile", *logs, "--node-key", str(folder / "gw"), "--department", "ga")  # fmt: skip
    assert (agreed["faults"], agreed["entries"]["matched"]) == (0, 2)
