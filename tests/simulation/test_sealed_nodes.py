"""Sealed answers over real node processes and TLS: what is opened is the plain answer, and no process has the key."""

import asyncio
import json

import pytest

from middleplatform.access import shapes
from middleplatform.client.book import OpenedBook
from middleplatform.client.opening import open_answer
from tests.fakes.node_world import SCORES, duckdb_sources, running_world
from tests.fakes.sealed_world import opening_key, spellings, texts

COSTS = (
    "SELECT visit_year, COUNT(*) AS n, AVG(medical_cost) AS mean, STDDEV(medical_cost) AS spread"
    " FROM health.encounter_year GROUP BY visit_year ORDER BY visit_year"
)


@pytest.fixture(scope="module")
def world(demo_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("sealed")
    counties = [f"amr_99010{number}" for number in range(1, 7)]
    sources = duckdb_sources(demo_data, ["health", *counties])
    with running_world(root, sources, deadline_s=30) as opened:
        desk = opened.platform.gateway.sealing
        desk.publish(opened.analyst, *texts(opening_key(opened.analyst.id)))
        yield opened


def submitted(world, sql, sealed_for=""):
    gateway = world.platform.gateway
    request = gateway.request(sql, world.analyst, "statistics", sealed_for=sealed_for)
    return asyncio.run(gateway.submit(request))


@pytest.mark.parametrize("sql", [COSTS, SCORES])
def test_what_is_opened_is_the_plain_answer(world, sql):
    key = opening_key(world.analyst.id)
    plain = submitted(world, sql)
    answer = submitted(world, sql, key.public.key_id)
    document = json.loads(json.dumps(shapes.answer(answer)))
    pins = world.platform.gateway.dispatcher.pins
    opened = open_answer(document, key, pins, OpenedBook(None))
    assert plain.release.table.num_rows
    assert opened.release.digest == plain.release.digest
    assert not any(column.null_count < len(column) for column in answer.release.table.columns[1:])


def test_no_file_of_gateway_or_nodes_has_a_byte_of_the_key(world):
    key = opening_key(world.analyst.id)
    submitted(world, SCORES, key.public.key_id)
    private = key.to_phe()
    root = world.processes.trust.parent
    kept = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    for prime in (private.p, private.q):
        assert not [text for text in spellings(prime) if any(text in raw for raw in kept)]
    public = key.public.n.to_bytes(256, "big")
    assert any(public in raw for raw in kept), "what is public lies in the same folder"
