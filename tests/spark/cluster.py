"""A small Apache Spark cluster on loopback: a master, two workers and a Spark Connect server, each a Java process.

It comes from the PyPI distribution of pyspark, which has the whole of Spark in it; the workers' Python is that of the
environment that it is installed in.
"""

import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

_START_S = 120
_WORKERS = 2
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "800m",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.session.timeZone": "Asia/Shanghai",  # a connector has to bring its own
    "spark.connect.grpc.binding.address": "127.0.0.1",
}


def free_port():
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """A running cluster; its Connect server can be ended and started again."""

    def __init__(self, home, python, folder, stack):
        self._home, self._folder, self._stack = home, folder, stack
        self._sessions = set()
        self._environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "PYSPARK_PYTHON": str(python),
            **({"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}),
        }
        self._master = f"spark://127.0.0.1:{self._start_master()}"
        for number in range(_WORKERS):
            self._start_worker(number)
        self.port = free_port()
        self._connect = None
        self.start()

    @property
    def remote(self):
        return f"sc://127.0.0.1:{self.port}"

    def start(self):
        settings = {
            **_SETTINGS,
            "spark.sql.warehouse.dir": str(self._folder / "warehouse"),
            "spark.connect.grpc.binding.port": str(self.port),
        }
        options = [part for item in settings.items() for part in ("--conf", "=".join(item))]
        server = "org.apache.spark.sql.connect.service.SparkConnectServer"
        self._connect = self._run(
            "connect", "org.apache.spark.deploy.SparkSubmit", "--master", self._master,
            *options, "--class", server, "spark-internal",
        )  # fmt: skip
        self._await(self._connect, "connect", self.port)

    def stop(self):
        _end(self._connect)

    def log(self):
        """Return what the Connect server, which is the driver too, has said."""
        return (self._folder / "connect.log").read_text(encoding="utf-8", errors="replace")

    def processes(self):
        """Return the numbers of all processes in the sessions that the cluster's processes lead."""
        return _of_sessions(self._sessions)

    def _start_master(self):
        port = free_port()
        process = self._run(
            "master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
            "--port", str(port), "--webui-port", str(free_port()),
        )  # fmt: skip
        self._await(process, "master", port)
        return port

    def _start_worker(self, number):
        port = free_port()
        process = self._run(
            f"worker-{number}", "org.apache.spark.deploy.worker.Worker", self._master,
            "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(free_port()),
            "--cores", "1", "--memory", "1g", "--work-dir", str(self._folder / "work"),
        )  # fmt: skip
        self._await(process, f"worker-{number}", port)

    def _run(self, name, *command):
        log = self._stack.enter_context((self._folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            [str(self._home / "bin" / "spark-class"), *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
            cwd=self._folder, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(_end, process)
        self._sessions.add(process.pid)
        return process

    def _await(self, process, name, port):
        until = time.monotonic() + _START_S
        while time.monotonic() < until and process.poll() is None:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
        raise RuntimeError(f"{name} did not start; see {self._folder / name}.log")


def _end(process):
    """End a process and what it started: executors and their Python workers are in its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for number in _of_sessions({process.pid}):
            with suppress(ProcessLookupError):
                os.kill(number, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    process.wait()


def _of_sessions(leaders):
    """Return the numbers of all processes in the sessions of these leaders."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) in leaders:
                found.add(int(stat.parent.name))
    return found


@contextmanager
def cluster(home: Path, python: Path, folder: Path):
    """Run a cluster for the time of a ``with`` block; its logs and scratch files are in ``folder``."""
    for name in ("local", "work", "warehouse"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield Cluster(home, python, folder, stack)
