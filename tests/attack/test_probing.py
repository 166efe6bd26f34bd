"""Published attacks freeze the attacker under a policy that says so; the honest workload is held against the same rules.

The rules are the baseline's, with a freeze added. That honest analysts cross none is in ``test_attack_workload``.
"""

import pytest
import yaml
from steady import SeededRng

import policies
from middleplatform.attack import suite
from middleplatform.attack.local import through
from middleplatform.attack.people import made
from middleplatform.attack.sandbox import DEFAULT, write_sandbox
from middleplatform.demo.runtime import open_platform
from middleplatform.governance.freezes import BY_RULE, Freezing
from middleplatform.model.freeze import Scope
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings

OFFICER = Subject("han", "city", frozenset({Role.SECURITY_OFFICER}))


@pytest.fixture(scope="module")
def people():
    return made()


@pytest.fixture
def attacked(tmp_path, people):
    """Return a platform whose policy freezes whoever crosses one of the baseline's rules."""
    places = write_sandbox(tmp_path, people, DEFAULT)
    limits = yaml.safe_load((policies.root() / "baseline" / "limits.yaml").read_text("utf-8"))[
        "limits"
    ]
    rules = [{**each, "freeze": "user"} for each in limits["probing"]]
    path = places["bundle"] / "bundle.yaml"
    bundle = yaml.safe_load(path.read_text("utf-8"))
    bundle["limits"]["probing"] = rules
    path.write_text(yaml.safe_dump(bundle, allow_unicode=True), "utf-8")
    settings = Settings(
        state=tmp_path / "state", catalog=places["catalog"], bundle=places["bundle"],
        data=places["data"], threads=1, memory_mb=512,
    )  # fmt: skip
    with open_platform(settings, rng=SeededRng(), governed=True) as platform:
        yield platform


@pytest.mark.parametrize("name", ["differencing", "general_tracker", "individual_tracker"])
def test_an_attack_ends_in_a_freeze(attacked, people, name):
    (found,) = suite.run([through(attacked, "mallory")], people, DEFAULT, [name], 60)
    freezing = Freezing(attacked.lifecycle.desk, attacked.gateway.catalog)
    (stop,) = freezing.listed(OFFICER)
    assert (stop.freeze.scope, stop.freeze.target) == (Scope.USER, "mallory")
    assert stop.freeze.capacity == BY_RULE
    assert found.refused["P007"] > 0
    assert found.held
    alerts = freezing.alerts(OFFICER)
    assert [each.freeze for each in alerts if each.freeze] == [stop.freeze.number]
    assert {each.person for each in alerts} == {"mallory"}
