"""Code on the pages is true: Python runs and prints what is shown, SQL is judged as it says, consoles show what is printed."""

import json
import re
from datetime import UTC, datetime

import pytest
from console import examples, executed, run, settled
from pages import ROOT, blocks, pages

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.gateway.judge import judge
from middleplatform.model.plan import Fragment
from middleplatform.model.policy import Limits
from middleplatform.planner.plan import read_fragment
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.sql.render import fragment

ALL = [block for page in pages() for block in blocks(page)]
JUDGED = ("README.md", "README.zh-CN.md", "docs/reference/sql.md", "docs/howto/match-quality.md")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMITS = Limits(sql_characters_max=100_000, depth_max=1_000, joins_max=64)


def sql_blocks():
    found = [block for block in ALL if block.page in JUDGED and block.kind.split()[:1] == ["sql"]]
    return [pytest.param(block, id=block.name) for block in found]


def shown(kind):
    """Return console examples of the READMEs with the page that they stand on."""
    return [
        pytest.param([block for block in ALL if block.page == page and block.kind == kind], id=page)
        for page in ("README.md", "README.zh-CN.md")
    ]


@pytest.fixture(scope="session")
def demo():
    folder = example("demo")
    catalog = catalogs.load(folder / "catalog")
    return catalog, policies.load(folder, catalog), suite.personas(folder / "personas.yaml")


@pytest.mark.parametrize("block", sql_blocks())
def test_sql_on_a_page_is_judged_as_the_page_says(block, demo):
    catalog, bundle, personas = demo
    _, verdict, expected = ([*block.kind.split(), "", ""])[:3]
    case = suite.Case(
        id=block.name,
        subject=personas["analyst_drc"],
        purpose="statistics",
        sql=block.text,
        expect="permit",
        now=NOW,
    )
    found = judge(case, catalog, bundle)
    if verdict == "refused":
        assert (found.verdict, found.rule) == ("refuse", expected)
    else:
        assert verdict in ("", "unplanned")
        assert (found.verdict, found.code) == ("permit", expected)


def test_the_page_on_sql_shows_what_passes_and_what_each_rule_refuses():
    kinds = [block.kind for block in ALL if block.page == "docs/reference/sql.md"]
    assert kinds.count("sql") >= 12
    refused = {kind.split()[2] for kind in kinds if kind.startswith("sql refused")}
    assert refused >= {f"R{number}" for number in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13)}


def python_blocks():
    """Return Python blocks, each with the block that follows it on its page, if any."""
    found = []
    for place, block in enumerate(ALL):
        after = ALL[place + 1] if place + 1 < len(ALL) else None
        follower = after if after is not None and after.page == block.page else None
        if block.kind == "python":
            found.append(pytest.param(block, follower, id=block.name))
    return found


@pytest.mark.parametrize(("block", "follower"), python_blocks())
def test_python_on_a_page_prints_what_stands_below_it(block, follower):
    compile(block.text, block.page, "exec")
    runs = follower is not None and follower.kind == "output"
    assert runs or not block.page.startswith("README"), "a README's Python shows its output"
    if runs:
        assert executed(block.text).strip() == follower.text.strip()


@pytest.mark.parametrize("consoles", shown("console"))
def test_a_console_example_prints_what_the_page_shows(consoles, tmp_path):
    pairs = [pair for block in consoles for pair in examples(block.text)]
    assert len(pairs) >= 3
    for command, output in pairs:
        assert settled(run(command, tmp_path)) == settled(output), command


def test_commands_without_output_are_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        line.split()[1]
        for block in ALL
        if block.kind == "console" and not block.text.startswith("$")
        for line in block.text.splitlines()
    }
    assert {"demo", "test"} <= named <= targets


def test_the_fragment_of_the_specification_is_canonical_and_readable(demo):
    catalog, _, _ = demo
    own = [block for block in ALL if block.page == "docs/spec/node.md"]
    text = next(block.text for block in own if block.kind == "json").strip()
    found = Fragment.from_mapping(json.loads(text))
    assert found.to_bytes().decode() == text
    assert found.digest() == next(block.text for block in own if block.kind == "text").strip()
    cell, _ = read_fragment(found.sql, catalog, LIMITS)
    assert fragment(cell) == found.sql
