"""``policy templates`` lists what is open to a person, and ``policy show`` all there is."""

import json
from dataclasses import replace

import pytest
from made_templates import ASKED, TEMPLATE


@pytest.fixture
def listing(shell):
    def prepare(gateway):
        gateway.bundle = replace(gateway.bundle, templates={TEMPLATE.name: TEMPLATE})

    shell.prepare = prepare
    return shell


def test_it_lists_what_is_open_with_a_statement_to_ask(listing):
    ran = listing("policy", "templates", "--as", "analyst_drc")
    assert ran.code == 0
    assert ASKED.replace("1970", "1960") in ran.out
    assert "templates open to you: 1" in ran.out + ran.err
    chinese = listing("policy", "templates", "--as", "analyst_drc", "--locale", "zh")
    assert "按性别的受教育年数" in chinese.out


def test_it_lists_nothing_that_is_closed(listing):
    ran = listing("policy", "templates", "--as", "steward_ga", "--json")
    assert json.loads(ran.out) == {"templates": []}


def test_as_json_it_is_what_rest_gives(listing):
    (one,) = json.loads(listing("policy", "templates", "--as", "analyst_drc", "--json").out)["templates"]  # fmt: skip
    assert one["parameters"] == [{"name": "since", "values": ["1960", "1970"]}]
