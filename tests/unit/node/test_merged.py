"""Are counts put beside the groups that they are of, or nothing answered?"""

import pyarrow as pa
import pytest

from middleplatform.errors import SourceError
from middleplatform.node.measure import merged


def test_counts_stand_beside_their_group_in_whatever_order_they_come():
    groups = pa.table({"d0": ["b", None, "a"], "units_0": [20, 30, 10]})
    counted = pa.table({"d0": ["a", "b", None], "keys": [1, 2, 3]})
    found = merged(groups, counted, "keys_0", "ga").to_pylist()
    assert {row["d0"]: (row["units_0"], row["keys_0"]) for row in found} == {
        "a": (10, 1), "b": (20, 2), None: (30, 3),
    }  # fmt: skip


@pytest.mark.parametrize("labels", [["a", "c"], ["a"], ["a", "b", "c"]])
def test_groups_that_changed_between_two_statements_end_the_answer(labels):
    groups = pa.table({"d0": ["a", "b"], "units_0": [10, 20]})
    counted = pa.table({"d0": labels, "keys": list(range(len(labels)))})
    with pytest.raises(SourceError) as failed:
        merged(groups, counted, "keys_0", "ga")
    assert failed.value.code == "S003"
