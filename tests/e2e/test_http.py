"""The installed service over a real socket, on the demonstration's departments."""

import json
import re
import signal
from itertools import takewhile

import httpx
import pyarrow as pa
import pytest

OLD = "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= 60 GROUP BY region_code ORDER BY 1"
BODY = {"sql": OLD, "purpose": "statistics"}


@pytest.fixture(scope="module")
def tokens(product, tmp_path_factory):
    """A state of its own, so that the command line may use the other log meanwhile."""
    product.environment["MIDDLEPLATFORM_STATE"] = str(tmp_path_factory.mktemp("state"))
    made = {}
    for login, role in (("lin", "analyst"), ("zhao", "analyst"), ("wei", "auditor")):
        ran = product("token", "add", login, "--department", "drc", "--role", role, "--json")
        made[login] = json.loads(ran.stdout)
    yield made
    del product.environment["MIDDLEPLATFORM_STATE"]


@pytest.fixture(scope="module")
def url(product, tokens):
    assert tokens, "the service starts in the state that holds them"
    running = product.start("serve", "--port", "0")
    lines = list(
        takewhile(
            lambda line: line not in ("Ctrl-C stops it.\n", ""), iter(running.stderr.readline, None)
        )
    )
    found = re.fullmatch(r"Serving (http://127\.0\.0\.1:\d+)/v1\n", lines[0])
    assert found, lines
    assert lines[1] == f"Console {found[1]}/console\n"
    codes = re.compile(r"  (\w{5}-){3}\w{5}  \w+ \([a-z_, ]+\)\n")
    assert lines[3:], "this is a demonstration"
    assert [line for line in lines[3:] if not codes.fullmatch(line)] == []
    yield found[1]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "", "")


@pytest.fixture
def client(url, tokens):
    headers = {"Authorization": f"Bearer {tokens['lin']['token']}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as opened:
        yield opened


def test_question_is_answered_as_json_and_as_arrow_with_the_same_cells(client):
    plain = client.post("/v1/queries?wait=30", json=BODY)
    assert plain.status_code == 200, plain.text
    answer = plain.json()
    streamed = client.get(
        f"/v1/queries/{answer['query_id']}/result",
        headers={"Accept": "application/vnd.apache.arrow.stream"},
    )
    table = pa.ipc.open_stream(streamed.content).read_all()
    assert [list(row.values())[:2] for row in table.to_pylist()] == answer["rows"]


def test_question_is_submitted_watched_and_private(client, url, tokens):
    taken = client.post("/v1/queries", json=BODY)
    assert taken.status_code == 202
    where = taken.headers["location"]
    for _ in range(2000):
        status = client.get(where).json()["status"]
        if status not in ("queued", "running"):
            break
    assert status == "answered"
    other = httpx.get(url + where, headers={"Authorization": f"Bearer {tokens['zhao']['token']}"})
    assert other.status_code == 404


def test_refusal_is_a_problem_with_its_place_in_the_wished_language(client):
    told = client.post(
        "/v1/queries?wait=30",
        json={**BODY, "sql": "SELECT id_number FROM ga.population"},
        headers={"Accept-Language": "zh-CN"},
    )
    value = told.json()
    assert (told.status_code, told.headers["content-type"]) == (403, "application/problem+json")
    assert (value["title"], value["code"], value["span"]["start"]) == ("策略拒绝", "P001", 7)
    assert isinstance(value["audit_index"], int)


def test_entry_of_an_answer_is_proved_and_read_by_the_auditor_alone(client, url, tokens):
    receipt = client.post("/v1/queries?wait=30", json=BODY).json()["receipt"]
    proof = client.get(f"/v1/audit/proof/{receipt['index']}").json()
    assert proof["leaf_hash"] == receipt["leaf_hash"]
    path = f"/v1/audit/entries?start={receipt['index']}&count=1"
    assert client.get(path).status_code == 403
    read = httpx.get(
        url + path, headers={"Authorization": f"Bearer {tokens['wei']['token']}"}
    ).json()
    assert read["entries"][0]["body"]["subject"] == "lin"


def test_revoking_takes_effect_while_the_service_runs(product, url):
    made = json.loads(
        product("token", "add", "sun", "--department", "drc", "--role", "analyst", "--json").stdout
    )
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert httpx.get(url + "/v1/catalog", headers=headers).status_code == 200
    product("token", "revoke", made["id"])
    assert httpx.get(url + "/v1/catalog", headers=headers).status_code == 401


def test_log_in_use_and_port_in_use_are_one_clear_message(product, url):
    asked = product("query", OLD, "--as", "analyst_drc", "--purpose", "statistics")
    assert (asked.returncode, asked.stderr[:4], asked.stdout) == (16, "A003", "")
    served = product("serve", "--port", url.rsplit(":", 1)[1])
    assert (served.returncode, served.stderr[:4]) == (17, "C003")
    served = product("serve", "--port", "0")
    assert (served.returncode, "A003" in served.stderr, "Traceback" in served.stderr) == (
        16,
        True,
        False,
    )


def test_console_is_in_the_wheel_with_its_templates_and_files(client):
    page = client.get("/console/login")
    assert page.status_code == 200
    assert '<html lang="en">' in page.text
    files = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text)
    assert {path.rpartition(".")[2] for path in files} == {"css", "js", "svg"}
    assert all(client.get(path).status_code == 200 for path in files)
    assert client.get("/console").headers["location"] == "/console/login?next=/console"
