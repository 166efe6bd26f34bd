"""``connector publish``: everything that must hold first, told at once; then the mark, the safe profile and the log.

Decree 809 (政务数据共享条例) art. 13: before a dataset enters the catalogue its secrecy and personal-information
risks are assessed, and the head of the department agrees. Nothing unclassified and nothing unconfirmed is published.

Reveals:
    Whoever reads ``NAME.published.json``: what ``safe`` says. Whoever reads the node's log: who published which
    connector for which datasets, and fingerprints.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from connectors.spi import ConnectorError
from middleplatform.model.catalog import Catalog, Dataset, Level
from middleplatform.model.policy import Bundle
from middleplatform.model.record import AuditRecord
from middleplatform.node.registration.files import (
    incomplete,
    load_one,
    names,
    published_path,
    staged,
    text_of,
)
from middleplatform.node.registration.mapping import held
from middleplatform.node.registration.options import opened, said
from middleplatform.node.registration.profile import make_profile, profile_of
from middleplatform.node.registration.record import MappedDataset, Mark, Registration
from middleplatform.node.registration.safe import safe_profile
from middleplatform.node.registration.trial import drift_of
from middleplatform.ports import Clock, Progress

__all__ = ["Publisher", "log_entry", "missing", "publish"]

Pair = tuple[str, str]


@dataclass(frozen=True)
class Publisher:
    """What a publication rests on.

    Attributes:
        catalog: The department's copy.
        bundle: The department's copy.
        clock: For the moment.
        by: Who publishes: a login or a name.
        log: Takes the entry for the department's log; what it raises ends the publication. None where the caller
            keeps no log.
        allowed: Third-party connectors by name, each with its distribution.
        progress: Hears how a profile advances that has to be made.
    """

    catalog: Catalog
    bundle: Bundle
    clock: Clock
    by: str
    log: Callable[[AuditRecord], object] | None = None
    allowed: Mapping[str, str] | None = None
    progress: Progress | None = None


def publish(state: Path, name: str, publisher: Publisher) -> Registration:
    """Publish a connector and return its registration with the mark.

    Without a profile of exactly this registration, one is made now. The files are brought to the disk first, then
    the log takes its entry, then they are moved under their names: a log that is locked leaves everything as it was.

    Raises:
        ConfigError: C013 naming everything that is missing; C011 the file system refuses.
        AuditError: What the log raises.

    Reveals:
        What the module says.
    """
    registration = load_one(state, name)
    gaps = [*missing(state, registration, publisher), *_drift(registration, publisher.allowed)]
    if gaps:
        raise incomplete(
            name, "\n".join(each[0] for each in gaps), "\n".join(each[1] for each in gaps)
        )
    now = publisher.clock.now()
    mark = Mark(now.isoformat(), publisher.by, registration.digest)
    marked = replace(registration, published=mark)
    profile = profile_of(state, registration) or make_profile(
        state, name, publisher.catalog, publisher.clock, publisher.progress, publisher.allowed
    )
    document = _document(marked, profile, publisher)
    with staged() as files:
        files.add(
            published_path(state, name), json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        )
        files.add(state / "connectors" / f"{name}.yaml", text_of(marked))
        if publisher.log is not None:
            publisher.log(log_entry(marked, now))
        files.move()
    return marked


def log_entry(registration: Registration, at: datetime) -> AuditRecord:
    """Return the entry of a published connector for the node's log.

    Reveals:
        To the log's readers: who published which connector for which datasets; fingerprints; no name of the source.
    """
    mark = registration.published
    return AuditRecord(
        "connector",
        {
            "at": at.isoformat(),
            "action": "published",
            "connector": registration.name,
            "kind": registration.kind,
            "department": registration.department,
            "by": mark.by if mark else "",
            "datasets": list(registration.datasets),
            "schema": registration.schema,
            "fingerprint": registration.digest,
        },
    )


def _document(
    registration: Registration, profile: Mapping[str, Any], publisher: Publisher
) -> dict[str, Any]:
    mark = registration.published
    assert mark is not None, "published now"
    datasets = held(publisher.catalog, registration.department)
    return {
        "format": 1,
        "department": registration.department,
        "connector": registration.name,
        "published_at": mark.at,
        "fingerprint": mark.digest,
        "catalog": publisher.catalog.digest,
        "policy": publisher.bundle.digest,
        "datasets": safe_profile(profile, datasets, publisher.bundle),
    }


# --- what must hold ---------------------------------------------------------------------------------------------------


def missing(state: Path, registration: Registration, publisher: Publisher) -> Iterator[Pair]:
    """Yield what a publication lacks, apart from drift, for which the source must be opened.

    Reveals:
        Names only.
    """
    datasets = held(publisher.catalog, registration.department)
    today = publisher.clock.now().date()
    if not registration.datasets:
        yield ("no dataset is mapped", "没有映射任何数据集")
    if not publisher.by.strip():
        yield ("nobody is named who publishes", "未注明发布人")
    for name, mapped in registration.datasets.items():
        dataset = datasets.get(name)
        if dataset is None:
            yield (f"{name} is not in this department's catalogue", f"本部门目录中没有 {name}")
            continue
        yield from _assessed(dataset, today)
        yield from _classified(dataset, mapped, publisher.bundle)
        yield from _covered(dataset, mapped)
    yield from _elsewhere(state, registration)
    yield from _tested(registration)


def _assessed(dataset: Dataset, today: date) -> Iterator[Pair]:
    name = dataset.name
    if dataset.risk_assessed_on == date.min:
        yield (
            f"{name}: risk_assessed_on is missing (decree 809 art. 13)",
            f"{name}：缺少风险评估日期（政务数据共享条例第十三条）",
        )
    elif dataset.risk_assessed_on > today:
        yield (
            f"{name}: risk_assessed_on {dataset.risk_assessed_on} lies in the future (decree 809 art. 13)",
            f"{name}：风险评估日期 {dataset.risk_assessed_on} 尚未到来（政务数据共享条例第十三条）",
        )
    if not dataset.head_approval.strip():
        yield (
            f"{name}: the head of the department has not agreed (decree 809 art. 13)",
            f"{name}：缺少部门负责人同意（政务数据共享条例第十三条）",
        )


def _classified(dataset: Dataset, mapped: MappedDataset, bundle: Bundle) -> Iterator[Pair]:
    rule = bundle.datasets.get(dataset.name)
    if rule is None:
        yield (
            f"{dataset.name}: the policy does not know it",
            f"{dataset.name}：策略包中没有该数据集",
        )
    for column, item in mapped.columns.items():
        place = f"{dataset.name}.{column}"
        declared = dataset.columns.get(column)
        if declared is None:
            yield (
                f"{place} is not classified: not in the catalogue",
                f"{place} 未分级：不在目录中",
            )
            continue
        if rule is not None and column not in rule.columns:
            yield (
                f"{place} is not classified: not in the policy",
                f"{place} 未分级：策略包中没有该列",
            )
        if declared.level is Level.CORE:
            yield (f"{place}: core data is not connected", f"{place}：核心数据不得接入")
        if not item.accepted:
            yield (
                f"{place} = {item.physical} is only proposed: run connector map",
                f"{place} = {item.physical} 仅为建议：请运行 connector map 确认",
            )
    if not mapped.table.accepted:
        yield (
            f"{dataset.name} = {mapped.table.physical} is only proposed: run connector map",
            f"{dataset.name} = {mapped.table.physical} 仅为建议：请运行 connector map 确认",
        )


def _covered(dataset: Dataset, mapped: MappedDataset) -> Iterator[Pair]:
    """A column that the catalogue offers must be there: else questions about it would fail."""
    for column, declared in dataset.columns.items():
        if column in mapped.columns or not declared.held:
            continue
        place = f"{dataset.name}.{column}"
        yield (
            f"{place} is not mapped: map it, or let the catalogue say held: false",
            f"{place} 未映射：请映射，或在目录中注明 held: false",
        )


def _elsewhere(state: Path, registration: Registration) -> Iterator[Pair]:
    """One dataset lies in one place: two published connectors for it would be two answers."""
    for other in names(state):
        if other == registration.name:
            continue
        found = load_one(state, other)
        if found.is_published and found.department == registration.department:
            for name in sorted(set(found.datasets) & set(registration.datasets)):
                yield (
                    f"{name} is published by connector {other}",
                    f"{name} 已由连接器 {other} 发布",
                )


def _tested(registration: Registration) -> Iterator[Pair]:
    if registration.tested is None or registration.tested.digest != registration.digest:
        yield (
            "it was not tested since it was last altered: run connector test",
            "最近一次修改后尚未检验：请运行 connector test",
        )
    elif not registration.tested.passed:
        yield (
            "its last test failed: run connector test",
            "最近一次检验未通过：请运行 connector test",
        )


def _drift(registration: Registration, allowed: Mapping[str, str] | None) -> Iterator[Pair]:
    if not registration.tables:
        return
    with closing(
        opened(registration.name, registration.kind, registration.options, allowed)
    ) as source:
        try:
            present = source.describe(list(registration.tables))
        except ConnectorError as error:
            raise said(registration.name, error) from None
    for english, chinese in drift_of(registration, present):
        yield (f"the source has changed: {english}", f"数据源结构已变更：{chinese}")
