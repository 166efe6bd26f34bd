"""A Spark Connect server of its own process on loopback: pysail, which needs no Java.

Its process cannot import this repository's packages, as a cluster's workers cannot: what runs there must have come by
value.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.spark import SparkConnector

_CHILD = """
import sys
for name in ("connectors", "middleplatform", "policies"):
    sys.modules[name] = None  # importing it fails
from pysail.spark import SparkConnectServer
server = SparkConnectServer("127.0.0.1", int(sys.argv[1]))
server.start(background=True)
print(server.listening_address[1], flush=True)
sys.stdin.read()
server.stop()
"""


class SparkServer:
    """A running server; ``port`` is kept over a restart."""

    def __init__(self):
        self.port = 0
        self._process = None
        self.start()

    @property
    def remote(self):
        return f"sc://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def start(self):
        command = [sys.executable, "-c", _CHILD, str(self.port)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise RuntimeError("the Spark Connect server did not start")
        self.port = int(line)

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def spark_server():
    """Run a server for the time of a ``with`` block."""
    server = SparkServer()
    try:
        yield server
    finally:
        server.stop()


def views(folder: Path, tables: dict[str, pa.Table]) -> dict[str, str]:
    """Write tables as Parquet files, half and half where there are rows, and return their folders by name."""
    found = {}
    for name, table in tables.items():
        place = folder / name
        place.mkdir(parents=True)
        half = table.num_rows // 2
        pq.write_table(table.slice(0, half), place / "a.parquet")
        pq.write_table(table.slice(half), place / "b.parquet")
        found[name] = str(place)
    return found


def spark_factory(server: SparkServer, folder: Path):
    """Return what makes connectors that hold exactly the given tables, for the conformance kit."""
    made = []

    def factory(tables):
        made.append(None)
        return SparkConnector(server.remote, views=views(folder / str(len(made)), tables))

    return factory
