"""The whole OpenAPI description against the real application: no 5xx, and no response outside the schema.

Requests are made by schemathesis from the description, valid and invalid ones, as people of every role. Behind them is
the demonstration's platform with its departments, its log and a store; what one request leaves there the next one finds.
"""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi import checks

from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.tokens import TokenStore
from middleplatform.demo.runtime import open_platform
from middleplatform.governance.written import read_folder
from middleplatform.model.request import Role, Subject
from middleplatform.policy.examples import example
from middleplatform.settings import Settings
from middleplatform.web.api import build
from middleplatform.web.guard import ENDPOINTS
from middleplatform.web.jobs import Bounds
from middleplatform.web.services import Services
from tests.fakes.rest_world import DEPARTMENTS, UNLIMITED
from tests.fakes.steady import FixedClock, SeededRng

EXAMPLES = 6 if settings.default.derandomize else settings.default.max_examples // 5
"""Random requests of each kind to one endpoint: the same 6 in CI, 100 new ones in the nightly run."""
DOCUMENT = json.loads(
    (Path(__file__).parents[2] / "golden/openapi.json").read_text(encoding="utf-8")
)
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
SQL = (
    "SELECT sex, COUNT(*) AS n FROM ga.population GROUP BY sex",
    "SELECT region_code, AVG(education_years) AS a FROM ga.population GROUP BY region_code",
    "SELECT name FROM ga.population",
    "SELECT COUNT(*) FROM amr.enterprise",
)
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
    "columns": ["tax.individual_income.income_total"], "operations": ["aggregate"], "ends": "2030-12-31",
}  # fmt: skip


class World:
    """The application, a token for each role, and what is there to be asked for."""

    def __init__(self, app, tokens):
        self.app, self.session = app, asgi.get_client(app)
        self.tokens = {
            role: tokens.add(Subject(f"the_{role}", DEPARTMENTS[role], frozenset({role})), timedelta(days=9))[0]
            for role in Role
        }  # fmt: skip
        self.schema = schemathesis.openapi.from_asgi("/v1/openapi.json", app)
        self.schema.config.generation.update(with_security_parameters=False)
        self.known = {
            "dataset": ["ga.population", "ga.population.sex"], "code": ["P001"], "index": [0, 1], "version": [1],
            "proposal": [1, 2], "number": ["GX1", "GX2"], "ticket": ["YY1"], "freeze": [1],
        }  # fmt: skip
        self.asked = {}

    def headers(self, role):
        return {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}

    def send(self, role, path, body):
        answer = self.session.post(path, json=body, headers=self.headers(role))
        assert answer.ok, answer.text
        return answer.json()

    def fill(self):
        """Leave something of every kind behind."""
        officer, steward = Role.SECURITY_OFFICER, Role.DEPARTMENT_STEWARD
        files = dict(read_folder(example("demo")))
        first = files | {"columns.yaml": files["columns.yaml"] + "\n# as it is\n"}
        made = self.send(officer, "/v1/policy/proposals", {"files": first, "reason": "首版"})
        assert made["proposal"]["number"] == 1
        self.send(officer, "/v1/policy/proposals/1/publish", None)
        self.send(officer, "/v1/policy/proposals", {"files": files, "reason": "第二版"})
        for role in (Role.ANALYST, steward):
            self.send(role, "/v1/applications", WISH)
        for role in (Role.ANALYST, steward, Role.DATA_BUREAU):
            body = {"sql": SQL[0], "purpose": "statistics"}
            answer = self.session.post("/v1/queries?wait=20", json=body, headers=self.headers(role))
            asked = answer.json()
            self.asked[role] = asked.get("query_id") or asked["instance"].rpartition("/")[2]
        found = self.send(
            officer, "/v1/policy/simulations?wait=20", {"proposal": 2, "window": "30d"}
        )
        self.known["simulation"] = [found["id"]]
        drill = {"scope": "dataset", "target": "ga.population", "reason": "演练", "drill": True}
        self.send(officer, "/v1/freezes", drill)
        wrong = {"kind": "objection", "dataset": "ga.population", "text": "行政区划有误"}
        self.send(Role.ANALYST, "/v1/tickets", wrong)
        draft = {"login": "sun", "department": "drc", "roles": ["analyst"], "reason": "新入职"}
        made = [self.send(Role.SYSTEM_ADMINISTRATOR, "/v1/tokens", draft) for _ in range(3)]
        self.known["token"] = [each["id"] for each in made]
        keep = {"name": "按性别", "sql": SQL[0], "purpose": "statistics"}
        self.known["question"] = [self.send(Role.ANALYST, "/v1/saved", keep)["number"]]
        self.known["decision"] = [*self.asked.values(), "0", "3"]

    def places(self, role, name):
        """Return what is really there for a parameter of a path."""
        return (
            [self.asked[role]]
            if name == "query_id" and role in self.asked
            else self.known.get(name)
        )


@pytest.fixture(scope="module")
def world(demo_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    clock, rng = FixedClock(), SeededRng()
    chosen = Settings(state=folder / "state", data=demo_data, threads=1, memory_mb=512)
    platform = open_platform(chosen, clock=clock, rng=rng, governed=True)
    with TokenStore(folder / "tokens.sqlite", clock, rng) as tokens:
        log = OperatorLog(folder / "operator.log", clock, rng)
        app = build(
            platform.gateway, tokens, log, Bounds(), services=Services(platform), limits=UNLIMITED, closing=platform.close
        )  # fmt: skip
        made = World(app, tokens)
        with made.session:
            made.fill()
            yield made
            asgi.shutdown_lifespans()


def test_the_description_is_the_applications(world):
    assert world.app.openapi() == DOCUMENT, "python -m tests.golden.update"


def kinds():
    """Yield every endpoint with valid requests, and with invalid ones where there is anything to be invalid."""
    for method, path in sorted(ENDPOINTS):
        yield (method, path), GenerationMode.POSITIVE
        told = DOCUMENT["paths"][path][method.lower()]
        bounded = [
            each for each in told.get("parameters", ()) if each["schema"].keys() - {"type", "title"}
        ]
        if bounded or "requestBody" in told:
            yield (method, path), GenerationMode.NEGATIVE


@pytest.mark.parametrize(
    ("row", "mode"),
    [pytest.param(*each, id=f"{' '.join(each[0])} {each[1].value}") for each in kinds()],
)
def test_no_request_leads_out_of_the_description(world, row, mode):
    operation, allowed = world.schema[row[1]][row[0]], ENDPOINTS[row]
    entitled = sorted(allowed) if allowed is not None else [None, *sorted(Role)]
    others = [None, *sorted(set(Role) - allowed)] if allowed is not None else []

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def requests(case, data):
        role = data.draw(st.sampled_from(entitled * 4 + others), "role")
        if mode is GenerationMode.POSITIVE and data.draw(st.booleans(), "about what is there"):
            make_real(world, case, role, data)
        response = send(world, case, role)
        if allowed is not None and role not in allowed:
            assert response.status_code == (401 if role is None else 403)
        elif mode is GenerationMode.NEGATIVE and response.status_code != 413:  # refused unread
            case.validate_response(response, checks=[checks.negative_data_rejection])

    requests()


@pytest.mark.parametrize("row", sorted(ENDPOINTS), ids=" ".join)
def test_no_value_at_a_bound_leads_out_of_the_description(world, row):
    operation, roles = world.schema[row[1]][row[0]], sorted(ENDPOINTS[row] or Role)
    cases = world.schema.iter_coverage_cases(
        operation,
        generation_modes=list(GenerationMode),
        generation_config=world.schema.config.generation,
    )
    for number, case in enumerate(cases):
        send(world, case, roles[number % len(roles)])


def send(world, case, role):
    """Send a request, and hold its response to the description; return it."""
    if isinstance(case.body, dict) and "scope" in case.body:
        case.body["drill"] = True  # what stops the platform would end the test of all else
    response = case.call(session=world.session, headers=world.headers(role))
    case.validate_response(response, checks=CHECKS)
    return response


def make_real(world, case, role, data):
    """Have a request be about something that is there."""
    for name in case.path_parameters or ():
        if known := world.places(role, name):
            case.path_parameters[name] = data.draw(st.sampled_from(known), name)
    if isinstance(case.body, dict) and "sql" in case.body:
        case.body |= {"sql": data.draw(st.sampled_from(SQL), "sql"), "purpose": "statistics"}
