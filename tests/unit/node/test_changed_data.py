"""Is what ends a fragment in no foreseen way entered too, and data that change within a round noticed?"""

import made_platform
import pyarrow as pa
import pytest

from middleplatform.crypto.messages import CodeList
from middleplatform.crypto.sum_words import round_key
from middleplatform.errors import SourceError
from middleplatform.node.secure_round import SecureRounds

COUNT = 'SELECT COUNT(*) AS "a0" FROM "ga"."person" AS "t0"'
BY_SECTION = 'SELECT "t0"."section" AS "d0", SUM("t0"."staff") AS "a0" FROM "city"."firm" AS "t0" GROUP BY 1'  # fmt: skip


class Changed:
    """A source whose answers one function changes."""

    def __init__(self, held, **changes):
        self._held, self._changes = held, changes

    def __getattr__(self, name):
        return self._changes.get(name) or getattr(self._held, name)

    def until(self, _stop):
        return self


def last_of(node):
    return list(node.journal.log.entries())[-1].record


def test_an_unexpected_end_is_entered(platform):
    node = platform.nodes["ga"]

    def measure(*_):
        raise ValueError("990101198001011234")

    held, node.source = node.source, Changed(node.source, measure=measure)
    try:
        with pytest.raises(ValueError, match="9901"):
            node.answer(*platform.signed(platform.fragment(COUNT)))
    finally:
        node.source = held
    said = last_of(node)
    assert (said.event, said.body["code"]) == ("failed", "C099")
    assert "9901" not in str(said.body["code"]) + str(said.body.get("rule"))


def test_a_group_that_vanished_before_the_ladder_ends_the_round(platform):
    names = made_platform.CITY
    rounds = {name: SecureRounds(platform.nodes[name]) for name in names}
    first = platform.fragment(BY_SECTION, names[0], "secure_sum")
    asked = [
        platform.fragment(BY_SECTION, name, "secure_sum", query_id=first.query_id) for name in names
    ]
    key = round_key(first)
    hellos = [rounds[each.department].hello(*platform.signed(each)) for each in asked]
    sealed = {
        name: raw for each in rounds.values() for name, raw in each.agree(key, hellos).items()
    }
    lists = {name: rounds[name].codes(key, sealed.get(name)) for name in names}
    codes = sorted({code for raw in lists.values() for code in CodeList.from_bytes(raw).codes})
    name = names[0]
    rounds[name].cells(key, codes)
    node = platform.nodes[name]
    held = node.source

    def unit_totals(cell, layout):
        found = held.unit_totals(cell, layout)
        assert max(found["cell"].to_pylist()) > 0, "several groups"
        kept = found.filter(pa.array([place > 0 for place in found["cell"].to_pylist()]))
        return kept.set_column(
            kept.schema.get_field_index("cell"), "cell",
            pa.array([place - 1 for place in kept["cell"].to_pylist()]),
        )  # fmt: skip

    node.source = Changed(held, unit_totals=unit_totals)
    try:
        with pytest.raises(SourceError) as ended:
            rounds[name].ladder(key, [[10**9] * len(codes)])
    finally:
        node.source = held
    assert ended.value.code == "S003"
    assert last_of(node).body["code"] == "S003"
