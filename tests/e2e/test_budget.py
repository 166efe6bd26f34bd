"""Is a privacy budget kept, shown and renewed as the guides say, with nothing but the installed program?"""

import json
import re
import shutil
import socket
from fractions import Fraction

import pytest

from middleplatform.policy.examples import example
from tests.e2e.test_operators import enrolled, registered

WHO = ("--as", "analyst_drc")
ASK = ("query", *WHO, "--purpose", "statistics")
PEOPLE = (
    "SELECT sex, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= {age} GROUP BY sex"
)


@pytest.fixture
def told(product):
    """Run a command that must succeed and return what it says as JSON."""

    def run(*arguments):
        done = product(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def state(product, tmp_path):
    """A platform's state of its own, under a policy by which an analyst may spend two answers."""
    copied = shutil.copytree(str(example("demo")), tmp_path / "bundle")
    file = copied / "disclosure.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'rho_analyst: "[0-9/]+"', 'rho_analyst: "1/10"', text), encoding="utf-8")  # fmt: skip
    given = {
        "MIDDLEPLATFORM_STATE": str(tmp_path / "state"),
        "MIDDLEPLATFORM_BUNDLE": str(copied),
    }
    product.environment.update(given)
    yield tmp_path
    for name in given:
        del product.environment[name]


def balance(told, dataset="ga.population"):
    (found,) = [each for each in told("budget", "show", *WHO)["budgets"] if each["dataset"] == dataset]  # fmt: skip
    return found


@pytest.mark.usefixtures("state")
def test_answers_spend_what_explain_says_until_the_cap_and_restarts_renew_nothing(product, told):
    before = balance(told)
    assert Fraction(before["spent"]["snapshot"]["rho"]) == 0
    most, cap = Fraction(before["answer"]["rho"]), Fraction(before["caps"]["analyst"]["rho"])
    explained = told("explain", *ASK[1:], PEOPLE.format(age=20), "--noise")
    assert any(f"spends rho {most}" in each for each in explained["limits"])
    answers = 0
    while Fraction(balance(told)["left"]["least"]["rho"]) >= most:
        told(*ASK, PEOPLE.format(age=20 + 5 * answers), "--noise")
        answers += 1
    assert answers == cap // most == 2
    refused = product(*ASK, PEOPLE.format(age=15), "--noise", "--locale", "zh")
    assert (refused.returncode, "D013" in refused.stderr) == (12, True), refused.stderr
    assert "分析人员本人（数据集 ga.population）" in refused.stderr
    shown = product("budget", "show", *WHO)
    assert f"rho {answers * most} (epsilon" in shown.stdout
    assert Fraction(balance(told)["spent"]["snapshot"]["rho"]) == answers * most


def test_a_department_sees_who_spent_and_begins_a_snapshot_by_its_own_command(
    product, told, tmp_path
):
    folder = tmp_path / "o"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    enrolled(product, told, folder, address)
    registered(told, product, folder)
    shipped = shutil.copytree(str(example("demo")), folder / "own-copy")
    config = folder / "node.yaml"
    config.write_text(
        f"department: ga\nstate: ga\nlisten: {address}\ncatalog: {shipped.name}/catalog\nbundle: {shipped.name}\n",
        encoding="utf-8",
    )
    node = product.start("node", "serve", "--config", str(config))
    remote = {
        "MIDDLEPLATFORM_STATE": str(folder / "log"),
        "MIDDLEPLATFORM_TRUST": str(folder / "gw"),
    }
    product.environment.update(remote)
    try:
        assert address in node.stdout.readline()
        told(*ASK, PEOPLE.format(age=20), "--noise", "1/100")
        assert balance(told)["spent"]["analyst"]["rho"] == "1/100"
        assert {each["department"] for each in told("budget", "show", *WHO)["missing"]} >= {"tax"}
        spent = {(each["scope"], each["name"]): each for each in told("node", "budget", "--config", str(config))["spent"]}  # fmt: skip
        assert set(spent) == {("snapshot", ""), ("project", "drc"), ("analyst", "analyst_drc")}
        assert {each["spent"] for each in spent.values()} == {"1/100"}
        renew = ("node", "snapshot", "--config", str(config), "--reason", "census of 2026")
        assert told(*renew, "ga.population", "2026") == {"dataset": "ga.population", "snapshot": "2026"}  # fmt: skip
        for dataset, label, code in (("ga.population", "2026", 17), ("tax.enterprise_tax", "x", 10)):  # fmt: skip
            assert product(*renew, dataset, label).returncode == code
        assert (balance(told)["snapshot"], balance(told)["spent"]["snapshot"]["rho"]) == ("2026", "0")  # fmt: skip
    finally:
        for name in remote:
            del product.environment[name]
        node.terminate()
        out, err = node.communicate(timeout=60)
    assert (node.returncode, err) == (0, ""), out
    lines = told("audit", "export", "--log", str(folder / "ga" / "audit.db"), str(folder / "export"))  # fmt: skip
    assert lines
    text = (folder / "export").read_text(encoding="utf-8")
    assert text.count('"reason":"census of 2026"') == 1
