"""Register a connector, set its mapping, and find out how it compares with its source.

Nothing is written before everything is read: a source that cannot be described, an option that is wrong or a mapping
that fits nothing leaves what was registered before.

Reveals:
    Nothing: names and types stay in the department.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.spi import ConnectorError, TableDescription
from middleplatform.model.catalog import Catalog, Dataset
from middleplatform.node.registration.files import (
    check_name,
    forget,
    incomplete,
    load_one,
    names,
    save,
)
from middleplatform.node.registration.mapping import (
    Unmapped,
    apply,
    held,
    propose,
    unmapped,
    with_tables,
)
from middleplatform.node.registration.options import checked, opened, said
from middleplatform.node.registration.proposals import Proposal, proposed
from middleplatform.node.registration.record import Registration
from middleplatform.ports import Clock

__all__ = ["Found", "Request", "described", "register", "remap", "unclaimed"]


@dataclass(frozen=True, slots=True)
class Request:
    """What an engineer asks to be registered.

    Attributes:
        name: Of the connector.
        department: Code.
        kind: Of the connector.
        options: As given; secrets as ``password_file`` or ``password_env``.
        mappings: ``dataset=table`` and ``dataset.column=physical``.
        accept: Take every proposed mapping as confirmed.
        replace: Register anew what is registered already.
    """

    name: str
    department: str
    kind: str
    options: Mapping[str, str]
    mappings: Sequence[str] = ()
    accept: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Found:
    """A registration with what an engineer must look at.

    Attributes:
        registration: As written.
        unmapped: What the catalogue says and the mapping does not cover.
        proposals: Proposed classes by (table, column), of the mapped tables' columns that nothing is mapped to.
    """

    registration: Registration
    unmapped: tuple[Unmapped, ...]
    proposals: Mapping[tuple[str, str], Proposal]


def register(
    state: Path,
    request: Request,
    catalog: Catalog,
    clock: Clock,
    allowed: Mapping[str, str] | None = None,
) -> Found:
    """Connect, read the schema, map it, and write the registration.

    Args:
        state: The node's folder.
        request: What is asked for.
        catalog: The department's copy.
        clock: For the moment.
        allowed: Third-party connectors by name, each with its distribution.

    Raises:
        ConfigError: C013 with everything that is wrong, C011 the file system refuses. Nothing is changed then.

    Reveals:
        Nothing.
    """
    name = check_name(request.name)
    if name in names(state) and not request.replace:
        raise incomplete(
            name,
            "a connector of this name is registered; add --replace to register it anew",
            "同名连接器已登记；如需重新登记请加 --replace",
        )
    datasets = _held(name, catalog, request.department)
    options = checked(name, request.kind, request.options, allowed)
    tables = described(name, request.kind, options, allowed)
    found = Registration(
        name=name,
        department=request.department,
        kind=request.kind,
        options=options,
        added_at=clock.now().isoformat(),
        datasets=propose(datasets, tables),
    )
    found = apply(found, request.mappings, datasets, tables)
    found = _accepted(found) if request.accept else found
    save(state, found, replace=request.replace)
    forget(state, name)
    return _with_hints(found, catalog)


def remap(
    state: Path,
    name: str,
    mappings: Sequence[str],
    catalog: Catalog,
    *,
    accept: bool = False,
    allowed: Mapping[str, str] | None = None,
) -> Found:
    """Set or confirm mappings of a registered connector, and take the schema as it is now.

    Args:
        state: The node's folder.
        name: Of the connector.
        mappings: As ``Request.mappings``.
        catalog: The department's copy.
        accept: Take every proposed mapping as confirmed.
        allowed: Third-party connectors by name, each with its distribution.

    Raises:
        ConfigError: C013, C011 as ``register``. Nothing is changed then.

    Reveals:
        Nothing.
    """
    before = load_one(state, name)
    datasets = _held(name, catalog, before.department)
    tables = described(name, before.kind, before.options, allowed)
    after = (
        apply(before, mappings, datasets, tables)
        if mappings
        else with_tables(before, tables, datasets)
    )
    lost = sorted({each.table.physical for each in after.datasets.values()} - set(after.tables))
    if lost:
        raise incomplete(
            name,
            f"the source has no table {', '.join(lost)}: map its datasets to another, or to nothing",
            f"数据源中没有表 {'、'.join(lost)}：请将其数据集映射到其他表或取消映射",
        )
    after = _accepted(after) if accept else after
    if after.digest == before.digest:
        # Only confirmed: what was tested is what was confirmed.
        after = replace(after, tested=before.tested, published=before.published)
    save(state, after)
    return _with_hints(after, catalog)


def described(
    name: str, kind: str, options: Mapping[str, str], allowed: Mapping[str, str] | None
) -> Mapping[str, TableDescription]:
    """Open the source, read its schema and close it.

    Raises:
        ConfigError: C013 it cannot be read, or has no table.

    Reveals:
        Nothing.
    """
    with closing(opened(name, kind, options, allowed)) as connector:
        try:
            tables = connector.describe()
        except ConnectorError as error:
            raise said(name, error) from None
    if not tables:
        raise incomplete(name, "the source has no table that may be read", "数据源中没有可读取的表")
    return tables


def unclaimed(registration: Registration) -> Mapping[tuple[str, str], Proposal]:
    """Return the proposed classes of mapped tables' columns that no dataset has: they are in no catalogue yet.

    Reveals:
        Nothing.
    """
    taken: dict[str, set[str]] = {}
    for each in registration.datasets.values():
        taken.setdefault(each.table.physical, set()).update(
            item.physical for item in each.columns.values()
        )
    return {
        (table, column.name): proposed(column, (column.name,), None)
        for table, description in registration.tables.items()
        for column in description.columns
        if column.name not in taken.get(table, set())
    }


def _held(name: str, catalog: Catalog, department: str) -> Mapping[str, Dataset]:
    if department not in catalog.departments:
        raise incomplete(
            name,
            f"department {department!a} is not in the catalogue",
            f"目录中没有部门 {department!a}",
        )
    return held(catalog, department)


def _accepted(registration: Registration) -> Registration:
    datasets = {name: each.accepted() for name, each in registration.datasets.items()}
    return registration.changed(datasets=datasets)


def _with_hints(registration: Registration, catalog: Catalog) -> Found:
    datasets = held(catalog, registration.department)
    return Found(registration, tuple(unmapped(registration, datasets)), unclaimed(registration))
