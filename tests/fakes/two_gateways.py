"""Gateways as real processes on one PostgreSQL and the same nodes, and analysts who go to another when theirs is gone."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.shared_log import read_shared
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS
from middleplatform.governance.shared import open_tokens
from middleplatform.settings import Settings
from middleplatform.store.database import Store
from middleplatform.store.leases import leases

__all__ = ["Analyst", "GatewayProcess", "Pair", "running_pair"]

ROOT = Path(__file__).parents[2]
_START_S = 60.0
_PAUSE = threading.Event()


@dataclass
class GatewayProcess:
    """One ``middleplatform serve``; the parts of its settings that differ from the others' are its state and its port.

    Attributes:
        state: Its state folder.
        settings: As its environment says.
    """

    state: Path
    settings: dict
    process: subprocess.Popen | None = None
    port: int = 0

    def launch(self):
        """Start it; ``wait`` returns once it serves."""
        own = {"MIDDLEPLATFORM_STATE": str(self.state)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "middleplatform", "serve", "--port", "0"],
            env=os.environ | {"PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{ROOT}"} | self.settings | own,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def wait(self):
        """Return once it serves, and learn its port."""
        line = self.process.stderr.readline()
        assert "/v1" in line, line + self.process.stderr.read()
        self.port = int(line.rpartition(":")[2].partition("/")[0])

    def freeze(self):
        """Stop it where it stands."""
        self.send(signal.SIGSTOP)

    def ends_itself(self):
        """Let it go on, and return the signal by which it then ends itself."""
        self.send(signal.SIGCONT)
        return -self.process.wait(timeout=_START_S)

    def send(self, number):
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def kill(self):
        """End it as a power cut would."""
        with suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process.stderr.close()

    def call(self, token, method, path, body=None):
        """Return status and document of a request; OSError or HTTPException where it is not answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3)
        try:
            headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()


@dataclass
class Pair:
    """Two gateways.

    Attributes:
        gateways: Both.
        url: Of their store.
        tokens: One for each analyst.
    """

    gateways: list
    url: str
    tokens: list

    def places(self):
        """Return how many processes hold a lease."""
        with Store.open(self.url) as store, store.reading() as connection:
            return len(connection.execute(select(leases.c.name)).all())

    @contextmanager
    def log(self):
        """Give the log, recomputed, beside the gateways."""
        key = CheckpointSigner.load(self.gateways[0].state / "audit.key").key
        with (
            Store.open(self.url) as store,
            read_shared(store.engine, [key], SystemClock(), 3) as log,
        ):
            yield log


@dataclass
class Analyst:
    """Asks one question after the other, now here and now there, until told to stop; what a gateway said is kept.

    Attributes:
        answers: Documents of answers, by question.
        ended: Codes of questions that ended otherwise.
        asked: Ids that a gateway acknowledged.
    """

    pair: Pair
    number: int
    statements: tuple
    answers: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self):
        """Ask."""
        turn = self.number
        while not self.stop.is_set():
            turn += 1
            try:
                self._one(turn)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                self.stop.wait(0.05)  # that gateway is gone: the next question goes to the other
            except Exception as error:
                self.faults.append(error)
                raise

    def _one(self, turn):
        token = self.pair.tokens[self.number]
        sql = self.statements[turn % len(self.statements)]
        body = {"sql": sql, "purpose": "statistics"}
        here = self.pair.gateways[turn % 2]
        status, told = here.call(token, "POST", "/v1/queries", body)
        if status != 202:
            assert status == 200 or told["code"] in {"A001", "A005", "L001", "C015"}, told
            return
        self.asked.append(told["id"])
        self._result(told["id"], turn)

    def _result(self, query_id, turn):
        """Ask for the answer here and there until there is one, or an end."""
        token, until = self.pair.tokens[self.number], time.monotonic() + 40
        while time.monotonic() < until:
            turn += 1
            with suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
                there = self.pair.gateways[turn % 2]
                status, told = there.call(token, "GET", f"/v1/queries/{query_id}/result")
                if status == 200:
                    self.answers[query_id] = told
                    return
                if status != 202:
                    self.ended[query_id] = told["code"]
                    return
            _PAUSE.wait(0.02)
        raise AssertionError(f"no end of {query_id}")


@contextmanager
def running_pair(root, server, sources, analysts):
    """Start nodes and two gateways; all ends with the block."""
    server.run("CREATE ROLE platform LOGIN", "CREATE DATABASE shared OWNER platform")
    url = f"postgresql+pg8000://platform@127.0.0.1:{server.port}/shared"
    processes = NodeProcesses(root, sources, ())
    with processes:
        processes.start(SystemClock(), SystemRng(), lambda *_: None)
        settings = {
            "MIDDLEPLATFORM_STORE": url,
            "MIDDLEPLATFORM_TRUST": str(processes.trust),
            "MIDDLEPLATFORM_DEADLINE_S": "10",
        }
        gateways = [GatewayProcess(root / name, settings) for name in ("one", "two")]
        try:
            gateways[0].launch()
            gateways[0].wait()
            gateways[1].state.mkdir(parents=True)
            shutil.copy(gateways[0].state / "audit.key", gateways[1].state / "audit.key")
            gateways[1].launch()
            gateways[1].wait()
            yield Pair(gateways, url, _tokens(gateways[0].state, url, analysts))
        finally:
            for each in gateways:
                if each.process is not None:
                    each.kill()


def _tokens(state, url, count):
    who = PERSONAS["analyst_drc"]
    settings = Settings(state=state, store=url)
    with open_tokens(settings, SystemClock(), SystemRng()) as tokens:
        return [
            tokens.add(replace(who, id=f"{who.id}{number}"), timedelta(days=1))[0]
            for number in range(count)
        ]
