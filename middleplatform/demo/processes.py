"""The demonstration's departments as processes of their own, on this machine's loopback, over mutual TLS.

Each is a ``middleplatform node serve`` with its own state folder, keys, certificate, log and registered connector; a
key holder is a ``middleplatform keyholder serve`` with no connector.
They end with this process, however it ends: each one's standard input is a pipe that only this process holds open.
"""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import yaml

from middleplatform.crypto.certificates import CERTIFICATE_DAYS
from middleplatform.demo.sources import SourceSpec
from middleplatform.enrolment import quick
from middleplatform.enrolment.folder import Folder, Peers
from middleplatform.enrolment.member import Member
from middleplatform.enrolment.registrar import Registrar
from middleplatform.errors import SourceError
from middleplatform.model.request import Subject
from middleplatform.node.config import SOCKET
from middleplatform.node.service import KEY_HOLDER
from middleplatform.policy.examples import example
from middleplatform.ports import Clock, Progress, Rng

__all__ = ["NodeProcesses"]

_START_S = 60.0
_END_S = 25.0
_LIMITS = {"memory_mb": 512, "concurrency": 4}


@dataclass
class NodeProcesses:
    """Running nodes; a context manager.

    Attributes:
        root: Folder of all parties' keys and states.
        sources: Where each department's data lie.
        stewards: Who may ask their department's own data.
        limits: Of each node, as in its settings.
        catalog: Folder of each department's copy; the demonstration's unless said.
        bundle: The same of its policy.
        key_holder: Whether a party without data runs as well, which removes the masks of private joins.
    """

    root: Path
    sources: Mapping[str, SourceSpec]
    stewards: Sequence[Subject] = ()
    limits: Mapping[str, int] = field(default_factory=lambda: _LIMITS)
    catalog: Path | None = None
    bundle: Path | None = None
    key_holder: bool = False
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def trust(self) -> Path:
        """Return the gateway's trust folder."""
        return quick.gateway_trust(self.root)

    def socket(self, department: str) -> Path:
        """Return where a node's operator reaches it."""
        return quick.node_state(self.root, department) / SOCKET

    def start(self, clock: Clock, rng: Rng, progress: Progress) -> Self:
        """Enrol the parties, register the connectors and start every node.

        Raises:
            SourceError: S001 a node did not start; what it said is in the detail.
            ConfigError: The folder cannot be used.
        """
        names = [*sorted(self.sources), *([KEY_HOLDER] if self.key_holder else [])]
        with contextlib.ExitStack() as held:
            ports = {name: held.enter_context(_free_port()) for name in names}
            addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
            self._enrol(addresses, clock, rng)
        for name in names:
            if name in self.sources:
                self.sources[name].register(name, quick.node_state(self.root, name), clock)
            self._write_config(name, addresses[name])
        try:
            for name in names:
                self.launch(name)
            for done, name in enumerate(names):
                progress("start", done, len(names))
                self._await(name)
            progress("start", len(names), len(names))
        except BaseException:
            self.close()
            raise
        return self

    def _enrol(self, addresses: Mapping[str, str], clock: Clock, rng: Rng) -> None:
        """Enrol all parties, or admit those of an earlier run again, each at its new address."""
        if not quick.registrar(self.root).exists():
            quick.enrol_all(self.root, addresses, rng, clock)
            return
        office = Registrar.open(quick.registrar(self.root), None, clock, rng)
        for name, address in addresses.items():
            member = Member(Folder(quick.node_trust(self.root, name)), None, clock, rng)
            if not member.folder.request_file.exists():
                member.create(name, quick.PLATFORM_NAME, Peers.REGISTRAR)
            request = member.folder.request_file.read_bytes()
            admission = office.admit(request, member.fingerprint(), address, CERTIFICATE_DAYS)
            member.install(admission, office.fingerprint)
        newest = office.roster_file.read_bytes()
        for path in (self.trust, *(quick.node_trust(self.root, name) for name in addresses)):
            Folder(path).accept(newest)

    def launch(self, department: str) -> None:
        """Start one node, again where it has ended; ``start`` does it for all."""
        if department in self._running:
            self._end(self._running.pop(department), time.monotonic())
        command = [*self.program(department), "serve", "--config", str(self._config(department))]
        # A file, not a pipe: nobody reads while the node runs, and a full pipe would stop it.
        with self._said(department).open("ab") as said:
            self._running[department] = subprocess.Popen(  # noqa: S603 - our own program
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
            )

    @staticmethod
    def program(department: str) -> list[str]:
        """Return the command, but for its last words, that runs a party."""
        kind = KEY_HOLDER if department == KEY_HOLDER else "node"
        return [sys.executable, "-m", "middleplatform", kind]

    def wait_for(self, department: str) -> None:
        """Return once a launched node takes calls.

        Raises:
            SourceError: S001 it did not start.
        """
        self._await(department)

    def process(self, department: str) -> "subprocess.Popen[str]":
        """Return a node's process, e.g. to end it without a word."""
        return self._running[department]

    def _said(self, department: str) -> Path:
        """Return the file of what a node writes to its standard error."""
        return quick.node_state(self.root, department) / "stderr.log"

    def _config(self, department: str) -> Path:
        return quick.node_state(self.root, department) / "node.yaml"

    def _write_config(self, department: str, address: str) -> None:
        stewards = [
            {"id": each.id, "roles": sorted(map(str, each.roles)), "regions": list(each.regions)}
            for each in self.stewards
            if each.department == department
        ]
        body = {
            "department": department,
            "state": ".",
            "listen": address,
            "catalog": str(self.catalog.resolve() if self.catalog else example("demo") / "catalog"),
            "bundle": str(self.bundle.resolve() if self.bundle else example("demo")),
            "limits": dict(self.limits),
            "stewards": stewards,
            "lifeline": True,
        }
        text = yaml.safe_dump(body, allow_unicode=True, sort_keys=False)
        self._config(department).write_text(text, encoding="utf-8")

    def _await(self, department: str) -> None:
        """Read the line that a node prints once it takes calls; one that prints none in time is ended."""
        process = self._running[department]
        assert process.stdout is not None
        late = threading.Timer(_START_S, process.kill)
        late.start()
        try:
            line = process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            said = self._said(department).read_text(encoding="utf-8", errors="replace")
            raise SourceError("S001", department=department, detail=said)

    def close(self) -> None:
        """End every node in order, and those that do not end, at once."""
        for process in self._running.values():
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        ends = time.monotonic() + _END_S
        for process in self._running.values():
            self._end(process, ends)
        self._running.clear()

    @staticmethod
    def _end(process: "subprocess.Popen[str]", ends: float) -> None:
        """Wait for a process until ``ends``, then kill it; close its pipes."""
        try:
            process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # of a pipe that nobody reads
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    """Yield a port that nobody else has while all are chosen; it is given back before the nodes start."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
