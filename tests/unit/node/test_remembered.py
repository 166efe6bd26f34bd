"""Is an answer given again only where nothing it hangs on can have changed, and then to the byte?"""

from dataclasses import replace

import made_platform
import made_world as made
import pyarrow as pa
import pytest

from connectors.spi import ConnectorError, ErrorKind
from middleplatform.crypto.receipts import verify_receipt
from middleplatform.errors import DisclosureError, ProtocolError, SourceError
from middleplatform.node.remembered import Given, GivenAnswers

COUNT = 'SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY "t0"."sex"'


@pytest.fixture
def platform(tmp_path):
    with made_platform.Platform(tmp_path) as opened:
        yield opened


class Counted:
    """A connector that counts what it is asked, and may fail or say that its data can change."""

    def __init__(self, inner, *, fixed=True):
        self.inner, self.fixed, self.asked, self.broken = inner, fixed, 0, False

    def capabilities(self):
        return replace(self.inner.capabilities(), fixed=self.fixed)

    def execute(self, statement, limits):
        self.asked += 1
        if self.broken:
            raise ConnectorError(ErrorKind.UNREACHABLE, "gone")
        return self.inner.execute(statement, limits)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def watched(platform, **says):
    node = platform.nodes["ga"]
    counted = Counted(node.source.connector, **says)
    node.source, node.given = replace(node.source, connector=counted), GivenAnswers(1)
    return node, counted


def test_the_same_question_gets_the_same_bytes_without_the_source_and_everything_else_anew(
    platform,
):
    node, source = watched(platform)
    first = node.answer(*platform.signed(platform.fragment(COUNT)))
    asked, source.broken = source.asked, True
    again = platform.fragment(COUNT)
    second = node.answer(*platform.signed(again))
    assert (second.payload, source.asked) == (first.payload, asked)
    assert verify_receipt(second.receipt, "ga", platform.pins).fragment_digest == again.digest()
    assert [entry.record.event for entry in node.journal.log.entries()][-2:] == ["released"] * 2
    with pytest.raises(ProtocolError) as caught:
        node.answer(*platform.signed(again))
    assert caught.value.code == "X002"


def test_a_source_whose_data_can_change_is_asked_every_time(platform):
    node, source = watched(platform, fixed=False)
    node.answer(*platform.signed(platform.fragment(COUNT)))
    source.broken = True
    with pytest.raises(SourceError):
        node.answer(*platform.signed(platform.fragment(COUNT)))


@pytest.mark.parametrize(
    "changes",
    [
        {"project": "other"}, {"subject": made.COUNTY}, {"sql": COUNT.replace('"sex"', '"local"')},
    ],
)  # fmt: skip
def test_another_project_region_or_question_is_run(platform, changes):
    node, source = watched(platform)
    node.answer(*platform.signed(platform.fragment(COUNT)))
    asked = source.asked
    node.answer(*platform.signed(replace(platform.fragment(COUNT), **changes)))
    assert source.asked > asked


def test_a_stricter_policy_is_not_answered_from_memory(platform):
    node, _ = watched(platform)
    node.answer(*platform.signed(platform.fragment(COUNT)))
    node.bundle = made_platform.with_parameters(min_units=500)
    # Under another threshold it is another decision: here the set that was let out before is too near.
    with pytest.raises(DisclosureError) as caught:
        node.answer(*platform.signed(platform.fragment(COUNT)))
    assert caught.value.code == "D010"


def test_the_longest_unused_answers_are_forgotten_first_and_the_bound_holds():
    answers, table = GivenAnswers(1), pa.table({"d0": [1]})
    for name in ("a", "b", "c"):
        answers.keep(name, Given(table, bytes(400_000), ""))
        answers.find("a")
    assert [name for name in ("a", "b", "c") if answers.find(name)] == ["a", "c"]
    answers.keep("large", Given(table, bytes(1 << 21), ""))
    assert not any(answers.find(name) for name in ("a", "b", "c", "large"))
    answers.keep("a", Given(table, b"x", ""))
    assert answers.find("a") is not None


def test_none_are_kept_where_none_are_wanted():
    answers = GivenAnswers(0)
    answers.keep("a", Given(pa.table({"d0": [1]}), b"x", ""))
    assert answers.find("a") is None
