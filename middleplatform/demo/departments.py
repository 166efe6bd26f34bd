"""The demonstration as it would run for real: eleven node processes, and a gateway that reaches them over TLS."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo import build, postgres
from middleplatform.demo.processes import NodeProcesses
from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.demo.sources import SourceSpec
from middleplatform.enrolment import quick
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Answer, Withholding
from middleplatform.node.desk_client import ask_own
from middleplatform.policy.examples import example
from middleplatform.ports import Progress
from middleplatform.settings import Settings

__all__ = ["Departments", "Shown", "running", "sources"]

_POSTGRES = "ga"
_ENGINE = {"threads": "1", "memory_mb": "1024"}
"""Eleven engines share one machine."""


@dataclass(frozen=True)
class Shown:
    """What a person sees of an answer.

    Attributes:
        protocol: What answered.
        table: The rows.
        marks: Why values are withheld, same shape.
        withheld: How many, by reason.
        notes: (English, Chinese).
        entry: Index in the log that has it: the platform's, or for own data the department's.
    """

    protocol: str
    table: pa.Table
    marks: pa.Table
    withheld: tuple[Withholding, ...]
    notes: tuple[tuple[str, str], ...]
    entry: int

    @staticmethod
    def of(answer: Answer) -> "Shown":
        """Return what is shown of the platform's answer."""
        found = answer.release
        index = answer.receipt.index
        return Shown(answer.protocol, found.table, found.marks, found.withheld, found.notes, index)


@dataclass(frozen=True)
class Departments:
    """The running demonstration.

    Attributes:
        platform: The gateway's side.
        processes: The departments' side.
        where: (English, Chinese): which department's data lie in what.
    """

    platform: Platform
    processes: NodeProcesses
    where: tuple[str, str]

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
        columns = list(zip(*found["rows"], strict=True)) or [()] * len(found["columns"])
        names = found["columns"]
        table = pa.table(
            {name: pa.array(values) for name, values in zip(names, columns, strict=True)}
        )
        marks = pa.table({name: pa.nulls(table.num_rows, pa.string()) for name in names})
        return Shown("own", table, marks, (), (), found["entry"])


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
            root, specs, stewards, catalog=settings.catalog, bundle=settings.bundle
        )
        opened.enter_context(processes.start(SystemClock(), SystemRng(), progress))
        reached = replace(settings, trust=processes.trust, state=root / "log")
        platform = opened.enter_context(open_platform(reached, progress))
        yield Departments(platform, processes, _where(specs))


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
    return (
        f"{len(specs)} node processes on this machine, reached over mutual TLS ({told})",
        f"本机 {len(specs)} 个节点进程，经双向 TLS 访问（{told}）",
    )
