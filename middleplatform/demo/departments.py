"""The demonstration as it would run for real: eleven nodes and a key holder, each a process, reached over TLS."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo import build, postgres
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.recipient import Recipient
from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.demo.shown import Shown
from middleplatform.demo.sources import SourceSpec
from middleplatform.enrolment import quick
from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import QueryRequest, Role
from middleplatform.model.result import Answer
from middleplatform.node.desk_client import ask_own
from middleplatform.node.service import KEY_HOLDER
from middleplatform.policy.examples import example
from middleplatform.policy.suite import Case
from middleplatform.ports import Progress
from middleplatform.settings import Settings

__all__ = ["Departments", "running", "sources"]

RECIPIENT = "analyst_drc"
"""Who asks for sealed answers."""
_POSTGRES = "ga"
_ENGINE = {"threads": "1", "memory_mb": "1024"}
"""Eleven engines share one machine."""


@dataclass(frozen=True)
class Departments:
    """The running demonstration.

    Attributes:
        platform: The gateway's side.
        processes: The departments' side.
        where: (English, Chinese): which department's data lie in what.
        recipient: Who has a key of his own, under which answers leave sealed.
    """

    platform: Platform
    processes: NodeProcesses
    where: tuple[str, str]
    recipient: Recipient

    async def ask(self, case: Case, number: str) -> Shown:
        """Have a case answered by the way that it asks for; what was asked before it, first.

        Args:
            case: Of a suite.
            number: Under which it is shown.

        Raises:
            MiddleplatformError: Refused or failed.
        """
        gateway = self.platform.gateway
        for prior in case.prior:
            before = gateway.request(prior, case.subject, case.purpose, project=case.project)
            with contextlib.suppress(MiddleplatformError):
                await gateway.submit(before)
        request = gateway.request(
            case.sql,
            case.subject,
            case.purpose,
            project=case.project,
            recipient=case.recipient,
            strict=case.strict,
            sealed_for=self.recipient.key_id if case.sealed else "",
        )
        request = replace(request, noise=case.noise)
        if Role.DEPARTMENT_STEWARD in case.subject.roles and case.expect == "permit":
            return await asyncio.to_thread(self.own, request)
        answer = await gateway.submit(request)
        parties = self._parties(answer)
        if answer.sealed is None:
            return Shown.of(answer, parties)
        found = await asyncio.to_thread(self.recipient.open, number, answer)
        return Shown.of_opened(answer, parties, found)

    def _parties(self, answer: Answer) -> tuple[str, ...]:
        """Return who signed a receipt for an answer: the log has it."""
        body = self.platform.gateway.audit.entry(answer.receipt.index).record.body
        fragments = cast("list[Mapping[str, Mapping[str, str]]]", body["fragments"])
        return tuple(sorted({name for each in fragments for name in each["receipts"]}))

    def own(self, request: QueryRequest) -> Shown:
        """Have a steward's question answered on the department's own machine, past the gateway.

        Raises:
            MiddleplatformError: What the node refuses with.
        """
        department = request.subject.department
        found = ask_own(
            self.processes.socket(department),
            department,
            request.subject.id,
            request.sql,
            request.purpose,
            self.platform.settings.deadline_s,
        )
        return Shown.of_own(department, found)


@contextlib.contextmanager
def running(settings: Settings, progress: Progress) -> Iterator[Departments]:
    """Start everything; all of it ends on the way out.

    Args:
        settings: ``data`` and ``state`` say where databases, keys and logs lie.
        progress: Hears of building and starting.

    Raises:
        MiddleplatformError: What keeps it from starting.
    """
    build.build(settings.data, progress)
    root = settings.state / "platform"
    with contextlib.ExitStack() as opened:
        specs = opened.enter_context(_on_postgres(sources(settings), settings, root))
        stewards = tuple(PERSONAS.values())
        processes = NodeProcesses(
            root,
            specs,
            stewards,
            catalog=settings.catalog,
            bundle=settings.bundle,
            key_holder=True,
        )
        opened.enter_context(processes.start(SystemClock(), SystemRng(), progress))
        reached = replace(settings, trust=processes.trust, state=root / "log")
        recipient = Recipient(RECIPIENT, root / "recipient", reached)
        recipient.prepare(SystemRng(), progress)
        platform = opened.enter_context(open_platform(reached, progress))
        yield Departments(platform, processes, _where(specs), recipient)


@contextlib.contextmanager
def _on_postgres(
    specs: Mapping[str, SourceSpec], settings: Settings, root: Path
) -> Iterator[Mapping[str, SourceSpec]]:
    """Move one department's source to a PostgreSQL server, where PostgreSQL is installed."""
    if not postgres.available():
        yield specs
        return
    secrets = quick.node_state(root, _POSTGRES)
    secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = settings.data / f"{_POSTGRES}.duckdb"
    with postgres.options_of_running(_POSTGRES, file, secrets, SystemRng()) as options:
        moved = replace(specs[_POSTGRES], kind="postgres", options=options)
        yield {**specs, _POSTGRES: moved}


def sources(settings: Settings) -> Mapping[str, SourceSpec]:
    """Return where each department's data lie."""
    catalog = catalogs.load(settings.catalog or example("demo") / "catalog")
    bundle = policies.load(settings.bundle or example("demo"), catalog)
    names = sorted({name for dataset in catalog.datasets.values() for name in dataset.held_by})
    return {
        name: SourceSpec("duckdb", {"path": _file(settings.data, name)} | _ENGINE, catalog, bundle)
        for name in names
    }


def _file(folder: Path, department: str) -> str:
    return str((folder / f"{department}.duckdb").resolve())


def _where(specs: Mapping[str, SourceSpec]) -> tuple[str, str]:
    kinds: dict[str, list[str]] = {}
    for name, spec in specs.items():
        kinds.setdefault(spec.kind, []).append(name)
    told = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in sorted(kinds.items()))
    if "postgres" not in kinds:
        told += "; postgres: not installed"
    count, holder = len(specs), f"{KEY_HOLDER} (no data)"
    return (
        f"{count} node processes on this machine, reached over mutual TLS ({told}); masks removed by {holder}",
        f"本机 {count} 个节点进程，经双向 TLS 访问（{told}）；掩码由 {holder} 去除",
    )
