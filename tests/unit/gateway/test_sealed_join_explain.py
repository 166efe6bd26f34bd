"""Does explain say of a sealed private join who is then called how often, and that the gateway reads no sum?"""

import asyncio
from collections import Counter

import pytest
from demo_pool import CASES
from sealed_world import opening_key, texts


class Counting:
    """A link that counts the calls of a join."""

    def __init__(self, link, calls):
        self.link, self.calls, self.department = link, calls, link.department

    def __getattr__(self, name):
        self.calls[self.department, name] += 1
        return getattr(self.link, name)


@pytest.mark.parametrize("number", ["Q05", "Q12"])
def test_as_many_calls_are_made_as_were_told_and_no_sum_is_read(demo_platform, number):
    gateway, case = demo_platform.gateway, CASES[number]
    key = opening_key(case.subject.id)
    published = gateway.sealing.publish(case.subject, *texts(key))
    calls = Counter()
    links = gateway.dispatcher._links
    for name, link in list(links.items()):
        links[name] = Counting(link, calls)
    asked = gateway.request(
        case.sql, case.subject, case.purpose, project=case.project, sealed_for=published.id
    )
    explained = gateway.explain(asked)
    assert not calls
    answer = asyncio.run(gateway.submit(asked))
    assert answer.sealed is not None
    told = 0
    for step in explained.steps:
        english = step.what[0]
        count, _, tail = english.rpartition(": ")[2].partition(" ")
        told += int(count) if tail.startswith("call") and "500,000" not in english else 0
    lists = sum(count for (_, name), count in calls.items() if name in ("join_list", "join_rows"))
    assert sum(calls.values()) - lists == told
    learned = " ".join(step.learns[0] for step in explained.steps if step.party == "gateway")
    assert "no sum" in learned
    assert "totals" not in learned
    assert explained.steps[-1].stage == "open"
