"""One grouped question through smartnoise-sql over a CSV file: seconds, privacy cost and relative errors.

The library counts its loss a column; the loss of a column is found by bisection so that its own ``get_privacy_cost``
says at most epsilon 1 for the whole answer. Bounds are those of the other side: the same L0, and per row the same cap.
Run by ``benchmarks.bench_privacy`` with the interpreter that has it: ``<file> <epsilon> <delta> <groups> <cap>``.
"""

import json
import sys
import time
from importlib.metadata import version

import pandas as pd
import snsql
from snsql import Privacy

_SQL = (
    "SELECT code, COUNT(*) AS n, SUM(cost) AS total, AVG(cost) AS mean FROM db.visit GROUP BY code"
)


def _reader(frame, each, delta, groups, cap):
    column = {
        "max_ids": groups, "row_privacy": False, "censor_dims": True, "clamp_counts": False, "sample_max_ids": True,
        "rows": len(frame), "id_number": {"type": "string", "private_id": True}, "code": {"type": "string"},
        "cost": {"type": "float", "lower": 0.0, "upper": float(cap)},
    }  # fmt: skip
    return snsql.from_df(
        frame, privacy=Privacy(epsilon=each, delta=delta), metadata={"": {"db": {"visit": column}}}
    )


def main() -> None:
    path, epsilon, delta, groups, cap = sys.argv[1], *map(float, sys.argv[2:6])
    frame = pd.read_csv(path, dtype={"id_number": str, "code": str})
    low, high = 0.0, epsilon
    for _ in range(12):
        middle = (low + high) / 2
        cost, _ = _reader(frame.head(10), middle, delta, int(groups), cap).get_privacy_cost(_SQL)
        low, high = (middle, high) if cost <= epsilon else (low, middle)
    reader = _reader(frame, low, delta, int(groups), cap)
    begin = time.perf_counter()
    found = reader.execute(_SQL)
    seconds = time.perf_counter() - begin
    exact = frame.groupby("code")["cost"].agg(["size", "sum", "mean"])
    errors = [
        [abs(row[place + 1] / exact.loc[row[0]].iloc[place] - 1) for row in found[1:]]
        for place in range(3)
    ]
    told = {
        "peer": "smartnoise-sql", "version": version("smartnoise-sql"), "seconds": round(seconds, 2),
        "epsilon_of_a_column": round(low, 4), "groups_shown": len(found) - 1,
        "mean_relative_error": {
            name: round(sum(each) / max(1, len(each)), 5)
            for name, each in zip(("count", "sum", "avg"), errors, strict=True)
        },
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
