"""``pooled_world``'s departments as real processes that a test can make fail, with a key holder, and a gateway to them.

Visits and cards are joined under the helper protocol; what reads taxes is blinded. Run as a script, this file is
another gateway that asks, and waits as long as it takes.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from failing_node import Fault
from node_world import BOUND_S, NodeWorld, until
from recorder import Recorder

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.operator_log import OperatorLog
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import Platform, open_platform
from middleplatform.demo.sources import SourceSpec
from middleplatform.dispatch.dispatcher import KEY_HOLDER, Dispatcher
from middleplatform.dispatch.wire_link import WireLink
from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import Subject
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.settings import Settings

__all__ = [
    "BLINDED",
    "DEPARTMENTS",
    "PARTIES",
    "Ended",
    "JoinNodes",
    "Rules",
    "asking_process",
    "running_joins",
]

DEPARTMENTS = ("ga", "hb", "tc")
PARTIES = (*DEPARTMENTS, KEY_HOLDER)
BLINDED = {"tc.payer": "blinded"}

_ANALYST = suite.personas(example("cases") / "personas.yaml")["analyst"]
_PROGRAM = Path(__file__).with_name("failing_node.py")


@dataclass(frozen=True)
class Ended:
    """What came of a question: rows in one order, or the error's code and what an operator is told."""

    query_id: str
    rows: tuple[tuple[object, ...], ...] = ()
    protocol: str = ""
    code: str = ""
    detail: str = ""
    message: str = ""

    @property
    def phase(self) -> str:
        """Return the phase of the private join that the operator is told, if any."""
        begin = "private join, phase "
        return self.detail[len(begin) :].partition(":")[0] if self.detail.startswith(begin) else ""


class FailingProcesses(NodeProcesses):
    """Nodes of the program that fails as it is told."""

    @staticmethod
    def program(department: str) -> list[str]:
        kind = KEY_HOLDER if department == KEY_HOLDER else "node"
        return [sys.executable, str(_PROGRAM), kind]


@dataclass(frozen=True)
class Rules:
    """Folders of catalogue and bundle, and both as read."""

    catalog: Path
    bundle: Path

    def source(self, kind: str, options: Mapping[str, str]) -> SourceSpec:
        """Return a department's source under these rules."""
        catalog = catalogs.load(self.catalog)
        return SourceSpec(kind, options, catalog, policies.load(self.bundle, catalog))


@dataclass
class JoinNodes(NodeWorld):
    """Running parties and a gateway."""

    def __post_init__(self) -> None:
        file = self.processes.root / "platform" / "operator.log"
        self.operator = OperatorLog(file, SystemClock(), SystemRng())
        self.operator.attach()

    def operator_lines(self) -> list[str]:
        """Return what the gateway told its operator so far, line by line."""
        file = self.processes.root / "platform" / "operator.log"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    @property
    def analyst(self) -> Subject:
        return _ANALYST

    def ask(self, sql: str, query_id: str = "") -> Ended:
        """Ask, each time for another project: what hangs fails the test."""
        return asyncio.run(self.submitted(sql, query_id))

    async def submitted(self, sql: str, query_id: str = "") -> Ended:
        """Ask and wait."""
        gateway = self.platform.gateway
        request = gateway.request(sql, _ANALYST, "statistics")
        named = query_id or request.query_id
        request = replace(request, query_id=named, project=named)
        try:
            answer = await asyncio.wait_for(gateway.submit(request), BOUND_S)
        except MiddleplatformError as error:
            message = f"{error.message('en')} {error.message('zh')}"
            self.said.append(message)
            self.operator.detail(error)
            return Ended(
                request.query_id, code=error.code, detail=error.detail or "", message=message
            )
        rows = [tuple(row.values()) for row in answer.release.table.to_pylist()]
        marks = {value for row in answer.release.marks.to_pylist() for value in row.values()}
        assert marks <= {None}, marks
        return Ended(request.query_id, tuple(sorted(rows, key=repr)), answer.protocol)

    def fail(self, party: str, step: str, what: str, **more: object) -> None:
        """Tell a party's node to fail, once, at this step."""
        Fault(step, what, **more).put(self.state(party))

    def stopped(self, party: str) -> bool:
        """Tell whether a party's process stands still."""
        text = Path(f"/proc/{self.pid(party)}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "T"

    def wake(self, party: str) -> None:
        """Let a party go on that stopped itself."""
        until(lambda: self.stopped(party), f"{party} to stop")
        self.send(party, signal.SIGCONT)

    def receipts(self, query_id: str) -> Mapping[str, str]:
        """Return the receipts in the platform's entry of an answer, by party."""
        (entry,) = [
            each.record.body
            for each in self.platform.gateway.audit.entries()
            if (each.record.event, each.record.body.get("query_id")) == ("released", query_id)
        ]
        (fragment,) = entry["fragments"]
        return fragment["receipts"]

    def party_entries(self, party: str, query_id: str) -> list[tuple[str, Mapping[str, object]]]:
        """Return what a party's own log has of a question: event and entry, in order."""
        with self._log(party) as log:
            return [
                (each.record.event, each.record.body)
                for each in log.entries()
                if each.record.body.get("query_id") == query_id
            ]

    @contextmanager
    def partners_only(self):
        """Have the gateway leave the key holder out, so that partners would remove masks."""
        links = self.platform.gateway.dispatcher._links
        with self._with({name: link for name, link in links.items() if name != KEY_HOLDER}):
            yield

    @contextmanager
    def recorded(self):
        """Give the list of all messages between the gateway and the parties while the block runs."""
        links = self.platform.gateway.dispatcher._links
        recorder = Recorder(self.platform.transport)
        heard = {
            name: WireLink(name, replace(link._caller, transport=recorder, roster=None))
            for name, link in links.items()
        }
        with self._with(heard):
            yield recorder.exchanges

    @contextmanager
    def _with(self, links: Mapping[str, WireLink]):
        gateway = self.platform.gateway
        real = gateway.dispatcher
        gateway.dispatcher = Dispatcher(links, real._identity, real.pins)
        try:
            yield
        finally:
            gateway.dispatcher = real


@contextmanager
def running_joins(
    root: Path,
    rules: Rules,
    sources: Mapping[str, SourceSpec],
    *,
    deadline_s: int = 5,
    limits: Mapping[str, int] = MappingProxyType({}),
    key_holder: bool = True,
):
    """Start nodes for these sources and a key holder, and open a gateway to them; all ends with the block."""
    processes = FailingProcesses(
        root, sources, catalog=rules.catalog, bundle=rules.bundle, key_holder=key_holder
    )
    processes.limits = {**processes.limits, "timeout_s": 30, **limits}
    names = (*sources, *([KEY_HOLDER] if key_holder else []))
    with ExitStack() as held:
        held.enter_context(processes)
        processes.start(SystemClock(), SystemRng(), lambda *_: None)
        platform = held.enter_context(
            _opened(root / "platform", processes.trust, rules, deadline_s)
        )
        world = JoinNodes(processes, platform)
        held.callback(world._threads.shutdown, wait=True)
        started = [processes.process(name) for name in names]
        yield world
        started += [processes.process(name) for name in names]
        for name in names:  # a stopped one could not end by itself
            with suppress(ProcessLookupError):
                world.send(name, signal.SIGCONT)
    assert all(each.poll() is not None for each in started), "a node outlived its world"


def _opened(state: Path, trust: Path, rules: Rules, deadline_s: int) -> Platform:
    folders = {"trust": trust, "catalog": rules.catalog, "bundle": rules.bundle}
    return open_platform(Settings(state=state, deadline_s=deadline_s, **folders))


@contextmanager
def asking_process(world: JoinNodes, state: Path, rules: Rules, sql: str):
    """Have a gateway in a process of its own ask; it ends with the block."""
    root = Path(sys.modules[NodeProcesses.__module__].__file__ or "").parents[2]
    places = [str(each) for each in (state, world.processes.trust, rules.catalog, rules.bundle)]
    command = [sys.executable, __file__, *places, sql]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def _ask(state: str, trust: str, catalog: str, bundle: str, sql: str) -> None:
    rules = Rules(Path(catalog), Path(bundle))
    with _opened(Path(state), Path(trust), rules, 600) as platform:
        gateway = platform.gateway
        request = gateway.request(sql, _ANALYST, "statistics", project="other")
        asyncio.run(gateway.submit(request))


if __name__ == "__main__":
    _ask(*sys.argv[1:])
