"""Departments as real processes, a gateway in this one, and what a test does to both and finds afterwards."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import cycle
from pathlib import Path
from types import MappingProxyType

import duckdb

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import VerifierKey
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.crypto.certificates import CERTIFICATE_DAYS
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.demo.sources import SourceSpec
from middleplatform.enrolment import quick
from middleplatform.enrolment.folder import Folder
from middleplatform.enrolment.member import Member
from middleplatform.enrolment.registrar import Registrar
from middleplatform.enrolment.roster import GATEWAY
from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import Subject
from middleplatform.node.desk_client import read
from middleplatform.policy.examples import example
from middleplatform.ports import Clock
from middleplatform.settings import Settings

__all__ = [
    "BOUND_S",
    "COUNTY",
    "PEOPLE",
    "SCORES",
    "Asked",
    "NodeWorld",
    "duckdb_sources",
    "gone",
    "known_values",
    "other_gateway",
    "other_launcher",
    "running_world",
    "shipped",
    "until",
]

PEOPLE = "SELECT p.region_code, COUNT(*) AS n FROM ga.population p GROUP BY p.region_code"
COUNTY = (
    "SELECT industry_section, COUNT(*) AS firms FROM amr_county.enterprise"
    " GROUP BY industry_section ORDER BY industry_section"
)
SCORES = (
    "SELECT inspect_year, COUNT(*) AS inspections, AVG(score) AS score FROM amr_county.inspection"
    " WHERE inspect_year >= 2015 GROUP BY inspect_year ORDER BY inspect_year"
)
BOUND_S = 40.0
"""What no question may exceed, whatever happens: far more than its deadlines add up to, on a busy machine too."""

_PROJECTS = ("elderly", "cohorts", "repeat")
_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.05
_ANALYST = PERSONAS["analyst_drc"]
_VALUE = re.compile(
    r"[0-9A-Z]{2}9901\d{2}[0-9A-Z]{10}|9901\d{13}[\dX]|居民\d{6}|(?:餐饮)?企业\d+|H9901\d{2}[0-9A-F]+"
)
"""What made values look like: identity numbers, credit codes, names, households."""


@dataclass(frozen=True)
class Asked:
    """What came of a question: rows, or the error's code and message."""

    query_id: str
    rows: tuple[Mapping[str, object], ...] = ()
    code: str = ""
    message: str = ""


@dataclass
class NodeWorld:
    """Running nodes and a gateway.

    Attributes:
        processes: The nodes.
        platform: The gateway.
        said: Every error message that an analyst was shown.
    """

    processes: NodeProcesses
    platform: Platform
    said: list[str] = field(default_factory=list)
    _projects: Iterator[str] = field(default_factory=lambda: cycle(("", *_PROJECTS)))
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8))

    @property
    def analyst(self) -> Subject:
        """Return who asks."""
        return _ANALYST

    # --- asking ---------------------------------------------------------------------------------------------------

    def ask(self, sql: str) -> Asked:
        """Ask, each time for another project, of which policy lists few: what hangs fails the test."""
        gateway = self.platform.gateway
        request = gateway.request(sql, self.analyst, "statistics", project=next(self._projects))

        async def submitted() -> Asked:
            try:
                answer = await asyncio.wait_for(gateway.submit(request), BOUND_S)
            except MiddleplatformError as error:
                message = f"{error.message('en')} {error.message('zh')}"
                self.said.append(message)
                return Asked(request.query_id, code=error.code, message=message)
            return Asked(request.query_id, tuple(answer.release.table.to_pylist()))

        return asyncio.run(submitted())

    def asking(self, sql: str) -> "Future[Asked]":
        """Ask in another thread."""
        return self._threads.submit(self.ask, sql)

    def answered(self, sql: str) -> tuple[Mapping[str, object], ...]:
        """Return the rows, asking until they come: what was broken heals, at its own pace."""
        return until(lambda: self._rows(sql), f"an answer to {sql}")

    def _rows(self, sql: str) -> tuple[Mapping[str, object], ...] | None:
        asked = self.ask(sql)
        assert asked.code in {"", "S001", "S002", "X006"}, asked
        return asked.rows if not asked.code else None

    @contextmanager
    def patient(self, state: Path):
        """Open another gateway to the same nodes, which waits long."""
        settings = replace(self.platform.settings, state=state, deadline_s=60)
        with open_platform(settings) as platform:
            yield NodeWorld(self.processes, platform)

    # --- what is written down -------------------------------------------------------------------------------------

    def entries(self, asked: Asked) -> list[tuple[str, str]]:
        """Return (event, code) of the platform's entries of a question, in order."""
        return [
            (each.record.event, str(each.record.body.get("code", "")))
            for each in self.platform.gateway.audit.entries()
            if each.record.body.get("query_id") == asked.query_id
        ]

    def node_entries(self, department: str, asked: Asked) -> list[tuple[str, str]]:
        """Return (event, code) of a department's entries of a question, read while the node may run."""
        with self._log(department) as log:
            return [
                (each.record.event, str(each.record.body.get("code", "")))
                for each in log.entries()
                if each.record.body.get("query_id") == asked.query_id
            ]

    def _log(self, department: str) -> ReadOnlyLog:
        state = self.state(department)
        key = VerifierKey.parse((state / "audit.pub").read_text(encoding="utf-8").split("\n")[0])
        return ReadOnlyLog.open(state / "audit.db", [key], SystemClock())

    def newest_entry(self, department: str) -> Mapping[str, object]:
        """Return the newest entry of a department's log: its event and what it holds."""
        with self._log(department) as log:
            entry = log.entry(log.size - 1).record
            return {"event": entry.event, **entry.body}

    def operator_log(self, department: str) -> str:
        """Return what a node told its operator."""
        file = self.state(department) / "operator.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def leaks(self, values: frozenset[str]) -> set[str]:
        """Return which of these values stand in a message, a log or another file of any party."""
        root = self.processes.root
        files = [*root.rglob("*.log"), *root.rglob("audit.db*"), *root.rglob("served.db*")]
        texts = [*self.said, *(_text(file) for file in files)]
        return {found for text in texts for found in _VALUE.findall(text)} & values

    # --- nodes ----------------------------------------------------------------------------------------------------

    def state(self, department: str) -> Path:
        """Return a node's folder."""
        return quick.node_state(self.processes.root, department)

    def pid(self, department: str) -> int:
        """Return a node's process number."""
        return self.processes.process(department).pid

    def send(self, department: str, number: int) -> None:
        """Send a signal to a node."""
        os.kill(self.pid(department), number)

    def kill(self, department: str) -> None:
        """End a node without a word, and wait until it has ended."""
        self.send(department, signal.SIGKILL)
        self.processes.process(department).wait(_PATIENCE_S)

    def restart(self, department: str) -> None:
        """Start a node again and wait until it takes calls."""
        self.processes.launch(department)
        self.processes.wait_for(department)

    def metric(self, department: str, name: str) -> float:
        """Return a number that a node's desk shows."""
        text = read(self.processes.socket(department), department, "/metrics")
        found = re.search(rf"^middleplatform_node_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    def has_noticed(self):
        """Let the gateway see which of its idle connections were cut: none of them is tried for the next question."""
        io = self.platform.transport._io
        for _ in range(3):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.001), io.loop).result()

    def at_rest(self, departments: Iterable[str] = ()) -> bool:
        """Tell whether no node runs a call or holds a round."""
        return all(
            all(self.metric(name, each) == 0 for each in ("running", "rounds", "joins"))
            for name in departments or self.processes.sources
        )

    def holds_no_round(self, departments: Iterable[str]) -> bool:
        """Tell whether no node holds a round; a call that was given up may still run to its end."""
        return not any(
            self.metric(name, each) for name in departments for each in ("rounds", "joins")
        )

    # --- enrolment ------------------------------------------------------------------------------------------------

    @property
    def office(self) -> Registrar:
        """Return the registrar."""
        folder = quick.registrar(self.processes.root)
        return Registrar.open(folder, None, SystemClock(), SystemRng())

    def admit(self, party: str, address: str = "", clock: Clock | None = None) -> None:
        """Have a node (at an address) or the gateway admitted again; the gateway takes the new roster."""
        member = Member(self.trust(party), None, SystemClock(), SystemRng())
        request = member.folder.request_file.read_bytes()
        office = Registrar.open(
            quick.registrar(self.processes.root), None, clock or SystemClock(), SystemRng()
        )
        admitted = office.admit(request, member.fingerprint(), address, CERTIFICATE_DAYS)
        member.install(admitted, office.fingerprint)
        self.publish()

    def trust(self, party: str) -> Folder:
        """Return a party's own folder of keys and decisions."""
        root = self.processes.root
        return Folder(
            quick.gateway_trust(root) if party == GATEWAY else quick.node_trust(root, party)
        )

    def publish(self) -> None:
        """Bring the newest roster to the gateway, which hands it to the nodes."""
        Folder(self.processes.trust).accept(self.office.roster_file.read_bytes())

    def address(self, department: str) -> str:
        """Return a node's address in the roster."""
        roster = self.office.roster()
        assert roster is not None
        return roster.parties[department].address


@contextmanager
def running_world(
    root: Path,
    sources: Mapping[str, SourceSpec],
    *,
    deadline_s: int = 3,
    limits: Mapping[str, int] = MappingProxyType({}),
    clock: Clock | None = None,
):
    """Start nodes for these sources and open a gateway to them; all ends with the block."""
    settings = Settings(state=root / "platform", deadline_s=deadline_s)
    processes = NodeProcesses(root, sources, tuple(PERSONAS.values()))
    processes.limits = {**processes.limits, "timeout_s": 30, **limits}
    with ExitStack() as held:
        held.enter_context(processes)
        processes.start(clock or SystemClock(), SystemRng(), lambda *_: None)
        platform = held.enter_context(open_platform(replace(settings, trust=processes.trust)))
        world = NodeWorld(processes, platform)
        held.callback(world._threads.shutdown, wait=True)
        started = [processes.process(name) for name in sources]
        yield world
        started += [processes.process(name) for name in sources]
        for name in sources:  # a stopped one could not end by itself
            with suppress(ProcessLookupError):
                world.send(name, signal.SIGCONT)
    assert all(each.poll() is not None for each in started), "a node outlived its world"


@contextmanager
def other_gateway(world: NodeWorld, state: Path, sql: str):
    """Have a gateway in a process of its own ask, and wait for ever; it ends with the block."""
    with _itself("ask", str(state), str(world.processes.trust), sql) as process:
        yield process


@contextmanager
def other_launcher(folder: Path, data: Path, names: Iterable[str]):
    """Have a process of its own start nodes and wait; give it and the nodes' process numbers. It ends with the block."""
    with _itself("launch", str(folder), str(data), *names) as process:
        yield process, [int(number) for number in process.stdout.readline().split()]


def gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def _itself(*arguments: str):
    """Run this file as a program; it ends with the block."""
    root = Path(sys.modules[NodeProcesses.__module__].__file__ or "").parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(found: Callable[[], object], what: str):
    """Return the first true value of ``found``; it must come while a person would still wait."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(_LOOK_EVERY_S)


@cache
def shipped():
    """Return the demonstration's catalogue and bundle, read once."""
    catalog = catalogs.load(example("demo") / "catalog")
    return catalog, policies.load(example("demo"), catalog)


def duckdb_sources(data: Path, names: Iterable[str]) -> dict[str, SourceSpec]:
    """Return the demonstration's departments on their DuckDB files."""
    catalog, bundle = shipped()
    return {
        name: SourceSpec("duckdb", {"path": str(data / f"{name}.duckdb")}, catalog, bundle)
        for name in names
    }


def known_values(data: Path, department: str, table: str, columns: Iterable[str]) -> frozenset[str]:
    """Return every text that stands in these columns: none of them may be found outside."""
    with duckdb.connect(str(data / f"{department}.duckdb"), read_only=True) as connection:
        found = {
            str(value)
            for column in columns
            for (value,) in connection.execute(
                f'SELECT DISTINCT "{column}" FROM "{table}"'
            ).fetchall()
        }
    assert all(_VALUE.fullmatch(value) for value in found), "leaks would not see them"
    return frozenset(found)


def _text(file: Path) -> str:
    """Return a file's text; a log of lines is plain ASCII, in which other characters stand as escapes."""
    text = file.read_bytes().decode("utf-8", errors="replace")
    if file.suffix != ".log":
        return text
    return re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), text)


def _ask_until_killed(state: Path, trust: Path, sql: str) -> None:
    settings = Settings(state=state, trust=trust, deadline_s=600)
    with open_platform(settings) as platform:
        gateway = platform.gateway
        asyncio.run(gateway.submit(gateway.request(sql, _ANALYST, "statistics")))


def _launch_until_killed(folder: Path, data: Path, names: Iterable[str]) -> None:
    with running_world(folder, duckdb_sources(data, names)) as world:
        sys.stdout.write(" ".join(str(world.pid(name)) for name in names) + "\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        _ask_until_killed(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        _launch_until_killed(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
