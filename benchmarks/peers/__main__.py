"""Measure one peer, or make all environments: ``python -m benchmarks.peers <name> --rows N | install``."""

import argparse
import json
import sys

from benchmarks.peers.environments import PEERS, PeerError, measured, python_of


def main() -> int:
    """Print one JSON line: the peer's figures, or why there are none."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("peer", choices=[*PEERS, "install"])
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    try:
        if asked.peer == "install":
            found = {name: str(python_of(name)) for name in PEERS}
        else:
            found = measured(asked.peer, asked.rows)
    except PeerError as error:
        print(json.dumps({"peer": asked.peer, "rows": asked.rows, "failed": str(error)}))
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
