import pytest

from middleplatform.crypto.round_context import RoundContext
from middleplatform.errors import ProtocolError


def test_every_field_changes_the_digest(make_context):
    base = make_context(["a", "b"])
    changed = [
        make_context(["a", "b"], key_epoch=2),
        make_context(["a", "b"], query_id="q-2"),
        make_context(["a", "b"], attempt=2),
        make_context(["a", "c"]),
        make_context(["a", "b"], layout_hash=bytes(32)),
        make_context(["a", "b"], policy_digest="0" * 64),
    ]
    assert len({context.digest for context in [base, *changed]}) == 7


def test_only_the_attempt_leaves_the_subject_alone(make_context):
    base = make_context(["a", "b"])
    assert make_context(["a", "b"], attempt=2).subject == base.subject
    assert make_context(["a", "b", "c"]).subject != base.subject
    assert make_context(["a", "b"], layout_hash=bytes(32)).subject != base.subject


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "other"},
        {"key_epoch": -1},
        {"key_epoch": 2**32},
        {"attempt": 0},
        {"attempt": 2**32},
        {"query_id": ""},
        {"query_id": "q" * 129},
        {"query_id": "q\n"},
        {"cohort": ()},
        {"cohort": ("a",)},
        {"cohort": ("b", "a")},
        {"cohort": ("a", "a")},
        {"cohort": ("a", "")},
        {"cohort": ("a", "b\x00")},
        {"cohort": tuple(f"{at:05}" for at in range(1025))},
        {"layout_hash": bytes(31)},
        {"policy_digest": "A" * 64},
        {"policy_digest": "0" * 63},
    ],
)
def test_a_value_outside_its_range_is_refused(make_context, changes):
    with pytest.raises(ProtocolError) as caught:
        make_context(**({"cohort": ("a", "b")} | changes))
    assert caught.value.code == "X001"


def test_bytes_round_trip_and_refuse_a_large_count(make_context):
    context = make_context(["a", "b", "c"])
    raw = context.to_bytes()
    assert RoundContext.from_bytes(raw) == context
    count_at = raw.index((3).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"a")
    with pytest.raises(ProtocolError):
        RoundContext.from_bytes(raw[:count_at] + b"\xff\xff\xff\xff" + raw[count_at + 4 :])
