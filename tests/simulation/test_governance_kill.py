"""Kill -9 of the service, 50 times over: at every step of the act that publishes, grants or freezes, and at any moment.

Each time a real ``middleplatform serve`` over the demonstration is asked over REST, with service tokens, to publish, to
grant or to freeze. Started anew, it tells by REST the old state or the new one, what was acknowledged is in force, and
the log has the entry if and only if the act is in force.

Run as a script, this file is a stem process: it imports the service once and forks one ``serve`` for each line, which
spares what every start loads. Some of the services are processes from the command line, without the stem.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from middleplatform import catalog as catalogs
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.access.tokens import TokenStore
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.demo.runtime import PERSONAS
from middleplatform.governance.desk import Desk
from middleplatform.governance.examined import examined
from middleplatform.node.open import check_packages
from middleplatform.policy.examples import example
from middleplatform.store.database import Store

ROOT = Path(__file__).parents[2]
SEED = 6050
STEPS = 11
"""Of an act: three transactions, before, within and after each; and before and after the entry."""
DECIDED = 2
"""Up to this step nothing of the act is kept; after it, the next start finishes the act."""
ALONE = 6
"""Kills of services that were started from the command line."""
AT_ANY_MOMENT = 11
"""Kills at a random moment of services that the stem forked."""
LATEST_S = {"publish": 1.2, "grant": 0.3, "freeze": 0.3}
"""Latest random moment of a kill, in seconds after the first request."""
WISH = {
    "basis": "《统计法》第三条", "scenario": "测算", "scope": "全市", "purpose": "statistics",
    "columns": ["tax.individual_income.income_total"], "operations": ["aggregate"], "ends": "2027-06-30",
}  # fmt: skip


# --- the service that dies ----------------------------------------------------------------------------------------


class Death:
    """Ends this process at one step of one of the acts that it is asked for; both are counted from 1."""

    def __init__(self, act, step):
        self.act, self.step, self.acts, self.steps, self.thread = act, step, 0, 0, 0

    def pass_by(self):
        if self.thread == threading.get_ident():
            self.steps += 1
            if self.steps == self.step:
                os.kill(os.getpid(), signal.SIGKILL)

    def await_here(self):
        """Have every act, every transaction and every entry of this process pass by."""
        perform, writing, append = Desk.perform, Store.writing, AuditLog.append

        def performing(desk, decide):
            self.acts += 1
            self.thread = threading.get_ident() if self.acts == self.act else 0
            return perform(desk, decide)

        @contextmanager
        def deadly_writing(store):
            self.pass_by()
            with writing(store) as connection:
                yield connection
                self.pass_by()
            self.pass_by()

        def deadly_append(log, record):
            self.pass_by()
            receipt = append(log, record)
            self.pass_by()
            return receipt

        Desk.perform, Store.writing, AuditLog.append = performing, deadly_writing, deadly_append


def stem():
    """Fork a service for every line on standard input, [act, step] of its death; tell its process number first."""
    import middleplatform.web.app  # noqa: F401, PLC0415 - what every fork would import
    from middleplatform.cli.main import main  # noqa: PLC0415 - likewise

    catalog = catalogs.load(example("demo") / "catalog")
    check_packages()
    examined(bundle_files(), catalog, SystemClock().now())  # and what it would load or work out
    for line in sys.stdin:
        child = os.fork()
        if not child:
            Death(*json.loads(line)).await_here()
            os._exit(main(["serve", "--port", "0"]))
        os.write(1, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        os.write(1, f"{code}\n".encode())
        if code != -signal.SIGKILL:
            sys.exit("it did not start")  # whoever waits for its address sees the end of its words


# --- who asks -----------------------------------------------------------------------------------------------------


class GoneError(Exception):
    """The service is no more."""


@dataclass
class Service:
    """A running service, which is no more after the block.

    Attributes:
        process: Its number.
        port: Where it answers.
        tokens: By persona.
    """

    process: int
    port: int
    tokens: dict

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)

    def ask(self, who, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {
            "authorization": f"Bearer {self.tokens[who]}",
            "content-type": "application/json",
        }
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            told = json.loads(reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise GoneError from error
        finally:
            connection.close()
        assert reply.status < 300, told
        return told

    def all(self, who, path, name):
        """Return all pages of a list."""
        found, after = [], 0
        while after is not None:
            page = self.ask(who, "GET", f"{path}?limit=100&after={after}")
            found += page[name]
            after = page["next"]
        return found

    def log(self):
        """Return every entry."""
        found, size = [], 1
        while len(found) < size:
            page = self.ask("auditor", "GET", f"/v1/audit/entries?start={len(found)}&count=100")
            size = page["size"]
            found += page["entries"]
        return found


def bundle_files():
    return {
        each.name: each.read_text(encoding="utf-8")
        for each in example("demo").iterdir()
        if each.name.endswith(".yaml")
    }


@dataclass
class Officials:
    """Asks for acts, and keeps what was acknowledged.

    Attributes:
        files: Of a policy.
        known: What is in force for all that anybody was told: (kind, what) of each act.
        count: Labels and names so far.
    """

    files: dict
    known: set = field(default_factory=set)
    count: int = 0

    def do(self, service, kind):
        self.count += 1
        self.known.add((kind, getattr(self, kind)(service)))

    def publish(self, service):
        manifest = self.files["manifest.yaml"].replace("2026.1", f"2026.1.{self.count}")
        draft = {"files": self.files | {"manifest.yaml": manifest}, "reason": f"第 {self.count} 次"}
        made = service.ask("officer_a", "POST", "/v1/policy/proposals", draft)
        path = f"/v1/policy/proposals/{made['proposal']['number']}/publish"
        return service.ask("officer_a", "POST", path)["version"]

    def grant(self, service):
        number = service.ask("analyst_drc", "POST", "/v1/applications", WISH)["number"]
        path = f"/v1/applications/{number}"
        service.ask("steward_drc", "POST", f"{path}/sign")
        service.ask("bureau", "POST", f"{path}/accept")
        service.ask("steward_tax", "POST", f"{path}/answer", {"grant": "all"})
        return number

    def freeze(self, service):
        draft = {"scope": "user", "target": f"someone{self.count}", "reason": "核查"}
        service.ask("officer_a", "POST", "/v1/freezes", draft)
        return draft["target"]


LAST = {"publish": 2, "grant": 4, "freeze": 1}
"""Which of the acts of each kind's requests brings it into force."""


def in_force(service):
    """Return the acts in force, as the lists tell over REST."""
    versions = service.all("auditor", "/v1/policy/versions", "versions")
    policy = service.ask("auditor", "GET", "/v1/policy")
    assert policy["number"] == len(versions)
    wanted = service.all("bureau", "/v1/applications", "applications")
    frozen = service.all("auditor", "/v1/freezes", "freezes")
    given = [each for each in wanted if each["grants"]]
    assert all(each["providers"][0]["outcome"] == "granted" for each in given)
    return {
        *(("publish", each["number"]) for each in versions),
        *(("grant", each["number"]) for each in given),
        *(("freeze", each["target"]) for each in frozen if each["state"] == "open"),
    }


def entered(service):
    """Return the acts that the log tells, each of which stands there once."""
    found = []
    for each in service.log():
        event, body = each["event"], each["body"]
        if event == "policy" and "version" in body:
            found.append(("publish", body["version"]))
        elif event == "grant" and body["events"][-1]["act"] == "answered":
            found.append(("grant", body["application"]))
        elif event == "freeze" and "frozen" in body:
            found.append(("freeze", body["frozen"]["target"]))
    assert len(set(found)) == len(found)
    return set(found)


# --- the kills ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        kind: What the service is doing.
        step: At which step of the act; 0 at a random moment.
        alone: Of a service from the command line.
    """

    kind: str
    step: int = 0
    alone: bool = False


def kills(chance):
    kinds = list(LATEST_S)
    made = [Kill(kind, step) for kind in kinds for step in range(1, STEPS + 1)]
    made += [Kill(kinds[each % 3]) for each in range(AT_ANY_MOMENT)]
    made += [Kill(kinds[each % 3], alone=True) for each in range(ALONE)]
    chance.shuffle(made)
    return made


def asked_until_killed(service, officials, kill, after_s):
    """Ask for acts of one kind until the service is no more; it is killed after so long unless it dies by itself."""
    timer = threading.Timer(after_s, service.kill)
    if not kill.step:
        timer.start()
    try:
        while True:
            officials.do(service, kill.kind)
            assert not kill.step, "the service outlived its step"
    except GoneError:
        pass
    finally:
        timer.cancel()


class Starter:
    """Starts services on one state, forked from the stem or from the command line."""

    def __init__(self, folder, tokens):
        own = {
            "MIDDLEPLATFORM_STATE": str(folder / "state"),
            "MIDDLEPLATFORM_DATA": str(folder / "data"),
            "MIDDLEPLATFORM_THREADS": "1",
            "PYTHONPATH": f"{os.environ['PYTHONPATH']}{os.pathsep}{ROOT}",
        }
        self.environment, self.tokens = os.environ | own, tokens
        self.stem = self._run(__file__, stdin=subprocess.PIPE)

    def _run(self, *arguments, **more):
        return subprocess.Popen(
            [sys.executable, *arguments], env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
        )  # fmt: skip

    @contextmanager
    def service(self, kill):
        """Give a running service; the block ends once it was killed."""
        if kill.alone:
            with self._run("-m", "middleplatform", "serve", "--port", "0") as process:
                with Service(process.pid, self._port(process), self.tokens) as service:
                    yield service
                code = process.wait(timeout=30)
        else:
            act = LAST[kill.kind] if kill.step else 0
            self.stem.stdin.write(f"[{act}, {kill.step}]\n")
            self.stem.stdin.flush()
            number = int(self.stem.stdout.readline())
            with Service(number, self._port(self.stem), self.tokens) as service:
                yield service
            code = int(self.stem.stdout.readline())
        assert code == -signal.SIGKILL

    @staticmethod
    def _port(process):
        for line in process.stderr:
            if "/v1" in line:
                return int(line.rpartition(":")[2].partition("/")[0])
        raise AssertionError("it did not start")

    def close(self):
        self.stem.stdin.close()
        self.stem.wait(timeout=30)
        self.stem.stdout.close()
        self.stem.stderr.close()


@pytest.fixture
def starter(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    made = TokenStore(state / "tokens.sqlite", SystemClock(), SystemRng())
    tokens = {name: made.add(who, timedelta(days=1))[0] for name, who in PERSONAS.items()}
    made.close()
    starter = Starter(tmp_path, tokens)
    yield starter
    starter.close()


def test_after_every_kill_the_state_is_the_old_or_the_new_one_and_the_log_agrees(starter, tmp_path):
    chance, officials = random.Random(SEED), Officials(bundle_files())
    last, killed = None, kills(chance)
    assert len(killed) == 50
    for kill in [*killed, Kill("freeze")]:
        with starter.service(kill) as service:
            now = in_force(service)
            assert now == entered(service)
            assert now >= officials.known, "what was acknowledged is in force"
            more = now - officials.known
            assert more <= {each for each in more if last is not None and each[0] == last.kind}
            if last is not None and last.step:
                assert len(more) == (last.step > DECIDED)
            assert len(more) <= 1
            officials.known, last = now, kill
            asked_until_killed(service, officials, kill, chance.random() * LATEST_S[kill.kind])
    assert {kind for kind, _ in officials.known} == set(LATEST_S)
    signer = CheckpointSigner.load(tmp_path / "state" / "audit.key")
    with AuditLog.open(tmp_path / "state" / "audit.db", signer, SystemClock()) as log:
        assert log.verify() == log.size


if __name__ == "__main__":
    stem()
