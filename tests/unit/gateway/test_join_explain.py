"""Does explain say of a private join what then happens: who is called, how often, and with which statement?"""

from collections import Counter
from dataclasses import replace

import made_join
import pytest
from made_joined import Joined

from middleplatform.node.service import KEY_HOLDER

TWO = "SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0, SUM(p.education) AS a1 FROM ga.person p JOIN tax.payer t ON p.id = t.id GROUP BY p.region"  # fmt: skip
THREE = "SELECT t.district AS d0, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id JOIN ga.income i ON i.id = p.id WHERE i.year = 2022 GROUP BY t.district"  # fmt: skip


class Counting:
    """A link that counts the calls of a join."""

    def __init__(self, link, calls):
        self.link, self.calls, self.department = link, calls, link.department

    def __getattr__(self, name):
        self.calls[self.department, name] += 1
        return getattr(self.link, name)


@pytest.fixture(scope="module", params=["helper", "blinded"])
def joined(request, tmp_path_factory):
    with Joined(tmp_path_factory.mktemp(request.param), made_join.bundle(request.param)) as opened:
        yield opened


def told(explanation):
    """Return the number of calls that the steps name, rows apart."""
    found = 0
    for step in explanation.steps:
        english, chinese = step.what
        number, _, tail = english.rpartition(": ")[2].partition(" ")
        if tail.startswith("call") and "500,000" not in english:
            assert f"：{number} 次调用" in chinese
            found += int(number)
    return found


@pytest.mark.parametrize("sql", [TWO, THREE])
@pytest.mark.parametrize("key_holder", [True, False])
def test_as_many_calls_are_made_as_were_told(joined, sql, key_holder):
    calls = Counter()
    links = {name: Counting(link, calls) for name, link in joined.links.items()}
    joined.use(**links | ({} if key_holder else {KEY_HOLDER: None}))
    explained = joined.explain(sql)
    assert not calls
    joined.ask(sql)
    lists = sum(count for (_, name), count in calls.items() if name in ("join_list", "join_rows"))
    departments = {name for name, call in calls if call == "join_list"}
    assert lists == 2 * len(departments)  # "one call, and one for each 500,000 rows"
    assert sum(calls.values()) - lists == told(explained)
    parties = {name.strip() for step in explained.steps for name in step.party.split(",")}
    assert parties - {"gateway"} == {name for name, _ in calls}


def test_every_side_shows_its_own_statement_and_the_assumption_is_told(joined):
    joined.use()
    explained = joined.explain(TWO)
    assert (explained.verdict, explained.protocol) == ("permit", "private_join")
    by_party = {step.party: step.detail for step in explained.steps if step.detail}
    assert '"payer"' not in by_party["ga"]
    assert '"person"' in by_party["ga"]
    assert '"person"' not in by_party["tax"]
    assert '"payer"' in by_party["tax"]
    learned = [step.learns for step in explained.steps if step.party == "gateway"]
    assert any("colludes with no department" in english for english, _ in learned)
    assert any("不与任何部门串通" in chinese for _, chinese in learned)
    for step in explained.steps:
        assert all(step.what)
        assert bool(step.learns[0]) == bool(step.learns[1])


def test_the_cost_is_told_where_the_catalogue_knows_the_sizes(joined):
    joined.use()
    assert not [step for step in joined.explain(TWO).steps if "MiB" in step.what[0]]
    known = joined.gateway.catalog
    sizes = {"ga.person": 4000, "tax.payer": 3000}
    datasets = {
        name: replace(each, rows=sizes.get(name, 0)) for name, each in known.datasets.items()
    }
    joined.gateway.catalog = replace(known, datasets=datasets, digest="e" * 64)
    try:
        (step,) = [step for step in joined.explain(TWO).steps if "MiB" in step.what[0]]
    finally:
        joined.gateway.catalog = known
    assert "7,000" in step.what[0]
    assert "7,000" in step.what[1]
