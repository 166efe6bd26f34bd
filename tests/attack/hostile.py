"""A gateway that lies: it has the gateway's certificate and identity key, and real node processes to talk to."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from exact_demo import exact_rules
from node_world import duckdb_sources
from recorder import Recorder

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import VerifierKey
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.crypto.identity import IdentityKey
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS
from middleplatform.dispatch.http_transport import HttpTransport
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.enrolment import quick
from middleplatform.enrolment.registrar import Registrar
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import MiddleplatformError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Subject
from middleplatform.node.desk_client import read
from middleplatform.wire.frame import CALL, Message, encode

DRC = PERSONAS["analyst_drc"]
LEGITIMATE = {
    "ga": "SELECT COUNT(*) AS a0 FROM ga.population",
    "tax": "SELECT tax_year AS d0, COUNT(*) AS a0 FROM tax.individual_income GROUP BY tax_year",
    "ss": "SELECT plan_code AS d0, COUNT(*) AS a0 FROM ss.insurance GROUP BY plan_code",
}
EXACT, CATALOG, BUNDLE = exact_rules()
_SECONDS = 60.0
_SAYS_MAX = 2_000
_ALERT = b"\x15\x03\x03\x01\x00\x02\x02\x50\x46\x0a\x28"
"""Bytes that a TLS alert is made of: all that a plain connection may get to see."""


@dataclass(frozen=True)
class Said:
    """What came of a call: a table, or a code and rule; and the reply's own bytes, where there was one."""

    code: str = ""
    rule: str = ""
    raw: bytes = b""
    table: pa.Table | None = None
    value: object = None


@dataclass(frozen=True)
class Entry:
    """An entry of a node's log."""

    event: str
    body: Mapping[str, object]


@dataclass
class Hostile:
    """The gateway, turned."""

    processes: NodeProcesses
    trust: Trust
    recorder: Recorder
    clock: SystemClock = field(default_factory=SystemClock)
    rng: SystemRng = field(default_factory=SystemRng)
    rounds: list[object] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.processes.root

    @property
    def key(self) -> IdentityKey:
        return self.trust.identity

    def link(self, department: str) -> WireLink:
        caller = Caller(
            self.recorder, self.key, self.trust.pins, self.clock, self.rng, deadline_s=_SECONDS
        )
        return WireLink(department, caller)

    def other(self, party: str) -> Trust:
        """Return another party's keys and certificate: of a department that helps, or was robbed."""
        return Trust.open(quick.node_trust(self.root, party), party, self.clock)

    # --- fragments ------------------------------------------------------------------------------------------------

    def fragment(self, department: str, sql: str = "", **changes: object) -> Fragment:
        """Return a fragment that would be answered, but for ``changes``."""
        made = Fragment(
            query_id=self.rng.token_bytes(16).hex(),
            attempt=1,
            number=0,
            department=department,
            protocol="local",
            cohort=(department,),
            sql=sql or LEGITIMATE[department],
            subject=DRC,
            purpose="statistics",
            project="drc",
            policy_digest=BUNDLE.digest,
            issued_at=now(),
        )
        return replace(made, **changes)

    def signed(self, raw: bytes) -> bytes:
        return self.key.sign("fragment", raw)

    def ask(self, to: str, sql: str = "", **changes: object) -> Said:
        """Send a fragment of one's own making, properly signed."""
        return self.send(to, replace(self.fragment(to, sql), **changes).to_bytes())

    def send(self, department: str, raw: bytes, signature: bytes | None = None) -> Said:
        """Send any bytes as a fragment, signed unless a signature is given."""
        signature = self.signed(raw) if signature is None else signature
        return self.call(department, lambda link: link.answer(raw, signature))

    def ask_together(self, department: str, statements: list[str], **changes: object) -> list[Said]:
        """Send several fragments at the same moment."""
        made = [self.fragment(department, sql, **changes).to_bytes() for sql in statements]

        async def all_at_once(link: WireLink) -> list[object]:
            calls = (link.answer(raw, self.signed(raw)) for raw in made)
            return await asyncio.gather(*calls, return_exceptions=True)

        found = asyncio.run(all_at_once(self.link(department)))
        return [Said(getattr(each, "code", "")) for each in found]

    def call(self, department: str, act) -> Said:
        """Run one call of a link and return what was said."""
        before = len(self.recorder.exchanges)
        code, rule, found = "", "", None
        try:
            found = asyncio.run(act(self.link(department)))
        except MiddleplatformError as error:
            code, rule = error.code, error.rule
        raw = b"".join(each.reply or b"" for each in self.recorder.exchanges[before:])
        return Said(code, rule, raw, getattr(found, "cells", None), found)

    # --- frames and connections -----------------------------------------------------------------------------------

    def message(self, department: str, name: str = "status", **changes: object) -> Message:
        """Return a call that would be served, but for ``changes``."""
        nonce = self.rng.token_bytes(16).hex()
        return replace(Message(CALL, name, "gateway", department, nonce, now()), **changes)

    def frame(self, department: str, name: str = "status", **changes: object) -> bytes:
        return encode(self.message(department, name, **changes), self.key)

    def post(self, department: str, body: bytes, name: str = "status") -> bytes:
        """Return all that a node sends back to one HTTP request."""
        head = f"POST /v1/{name} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
        length = f"Content-Length: {len(body)}\r\n\r\n"
        return self.speak(department, (head + length).encode() + body)

    def speak(self, department: str, raw: bytes, party: str = "gateway") -> bytes:
        """Write bytes to a node over TLS, with a party's certificate, and return all that comes until it hangs up."""
        with self.connected(department, party) as connection:
            try:
                connection.sendall(raw)
                return _all(connection)
            except (ConnectionError, ssl.SSLError):
                return b""

    @contextmanager
    def connected(self, department: str, party: str = "gateway"):
        """Open a TLS connection with a party's certificate; ``""`` for none."""
        host, port = self.trust.address(department).split(":")
        context = self.context(department, party)
        name = self.trust.server_name(department)
        with (
            socket.create_connection((host, int(port)), _SECONDS) as plain,
            closing(context.wrap_socket(plain, server_hostname=name)) as connection,
        ):
            yield connection

    def shake(self, host: str, port: int, context: ssl.SSLContext) -> None:
        """Shake hands with a context of one's own, and look whether the other side stays."""
        context.check_hostname = False
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            closing(context.wrap_socket(plain)) as connection,
        ):
            connection.sendall(b"POST /v1/status HTTP/1.1\r\n\r\n")
            if not connection.recv(1):
                raise ConnectionResetError

    def speak_plainly(self, department: str, raw: bytes) -> bytes:
        """Write bytes to a node's port without TLS and return what comes."""
        host, port = self.trust.address(department).split(":")
        with socket.create_connection((host, int(port)), _SECONDS) as plain:
            plain.sendall(raw)
            return _all(plain).strip(_ALERT)

    def context(self, department: str, party: str) -> ssl.SSLContext:
        if party == "gateway":
            return self.trust.client_context(department)
        if party:
            return self.other(party).client_context(department)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.trust.roster.authority)
        return context

    # --- rosters --------------------------------------------------------------------------------------------------

    def office(self) -> Registrar:
        return Registrar.open(quick.registrar(self.root), None, self.clock, self.rng)

    def foreign(self) -> Path:
        """Make another platform, of the same name, and return where its parties lie."""
        root = self.root / "foreign"
        quick.enrol_all(root, {"ga": "127.0.0.1:1"}, self.rng, self.clock)
        return root

    def post_roster(self, department: str, raw: bytes) -> str:
        """Hand a roster to a node and return the status."""
        return self.post(department, raw, "roster")[9:12].decode()

    # --- what is left behind --------------------------------------------------------------------------------------

    def log(self, department: str) -> list[Entry]:
        """Return a node's own log, every signature and hash of it verified."""
        state = quick.node_state(self.root, department)
        key = VerifierKey.parse((state / "audit.pub").read_text(encoding="utf-8").split("\n")[0])
        with ReadOnlyLog.open(state / "audit.db", [key], self.clock) as log:
            return [Entry(each.record.event, each.record.body) for each in log.entries()]

    def operator_log(self, department: str) -> list[Mapping[str, object]]:
        file = quick.node_state(self.root, department) / "operator.log"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def refusals(self, department: str) -> dict[str, float]:
        """Return how many requests a node refused before it read a call, by cause."""
        text = read(self.processes.socket(department), department, "/metrics")
        start = "middleplatform_node_refused_total"
        lines = [line for line in text.splitlines() if line.startswith(start)]
        return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def restart(self, department: str) -> None:
        """Kill a node without a word and start it again."""
        process = self.processes.process(department)
        process.kill()
        process.wait()
        self.processes.launch(department)
        self.processes.wait_for(department)

    # --- judging --------------------------------------------------------------------------------------------------

    def assert_alive(self, department: str) -> None:
        """The node answers what it may, after all."""
        said = self.ask(department)
        assert said.code == ""
        assert said.table.num_rows >= 1

    def assert_refused(
        self, department: str, act, code: str, rule: str = "", *, alive=None
    ) -> Said:
        """Refused with this code, nothing but the error in the reply, an entry in the node's log, and it goes on."""
        before = len(self.log(department))
        said = act()
        assert (said.code, said.rule) == (code, rule), (said.code, said.rule)
        assert_bare(said)
        ends = [each for each in self.log(department)[before:] if each.event != "received"]
        assert [(each.event, each.body["code"], each.body["rule"]) for each in ends] == [
            ("refused", code, rule)
        ]
        (alive or self.assert_alive)(department)
        return said


def now() -> str:
    return datetime.now(UTC).isoformat()


def assert_bare(said: Said) -> None:
    """A refusal's bytes are a signed header with one error in it, or none at all: no part, no cell, no table."""
    assert said.table is None
    if not said.raw:
        return
    length = int.from_bytes(said.raw[4:8], "big")
    header = json.loads(said.raw[8 : 8 + length])
    assert said.raw[:4] == b"mpw1"
    assert len(said.raw) == 8 + length + 64 < _SAYS_MAX, "a header and its signature, nothing more"
    assert header["parts"] == []
    assert set(header["fields"]) == {"error"}
    assert set(header["fields"]["error"]) == {"code", "rule", "parts"}


def _all(connection: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            more = connection.recv(65_536)
        except (ssl.SSLError, ConnectionError):
            return found
        if not more:
            return found
        found += more


@contextmanager
def hostile_gateway(
    root: Path,
    data: Path,
    departments: Iterable[str],
    limits: Mapping[str, int] | None = None,
    *,
    key_holder: bool = False,
):
    """Start these departments' nodes, a key holder if wanted, and yield the gateway that turned against them."""
    processes = NodeProcesses(
        root,
        duckdb_sources(data, departments),
        tuple(PERSONAS.values()),
        key_holder=key_holder,
        bundle=EXACT,
    )
    processes.limits = {**processes.limits, **(limits or {})}
    with processes.start(SystemClock(), SystemRng(), lambda *_: None):
        trust = Trust.open(processes.trust, "gateway", SystemClock())
        recorder = Recorder(HttpTransport(trust, trust.explain))
        with closing(recorder):
            yield Hostile(processes, trust, recorder)


def subject(**changes: object) -> Subject:
    """Return the analyst, but for ``changes``."""
    return replace(DRC, **changes)
