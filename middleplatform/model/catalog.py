"""What the catalogue holds: departments, datasets and columns, frozen.

The fields are those of decree 809 art. 13 and of the 2017 catalogue guide. Metadata only: no value of any row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import IntEnum, StrEnum

__all__ = [
    "Catalog",
    "Column",
    "ColumnType",
    "Dataset",
    "Department",
    "Level",
    "Sharing",
    "TypeKind",
    "Use",
]


class Level(IntEnum):
    """Sensitivity by GB/T 43697-2024; the stricter (greater) of two wins."""

    GENERAL_1 = 1
    GENERAL_2 = 2
    GENERAL_3 = 3
    GENERAL_4 = 4
    IMPORTANT = 5
    CORE = 6


class Sharing(StrEnum):
    """Sharing type by decree 809 art. 14, in rising strictness."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not_shared"


class Use(StrEnum):
    """The clauses in which a column may stand (policy.md, "What a column carries")."""

    KEY = "key"
    DIMENSION = "dimension"
    SENSITIVE_DIMENSION = "sensitive_dimension"
    DATE = "date"
    MEASURE = "measure"
    DENIED = "denied"


class TypeKind(StrEnum):
    """The types that a registered column may have; measures are exact, never floating."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    TEXT = "text"
    DATE = "date"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type.

    Attributes:
        kind: One of ``TypeKind``.
        precision: Decimal digits in all, 1 to 18, for DECIMAL; 18 for INTEGER.
        scale: Decimal digits after the point, for DECIMAL; else 0.
    """

    kind: TypeKind
    precision: int = 18
    scale: int = 0

    @property
    def numeric(self) -> bool:
        """Say whether arithmetic applies."""
        return self.kind in (TypeKind.INTEGER, TypeKind.DECIMAL)


@dataclass(frozen=True, slots=True)
class Department:
    """A department in the organisation tree.

    Attributes:
        code: Unique code and SQL schema name, e.g. ``"ga"``.
        name_zh: 中文名称.
        name_en: English name.
        level: ``"country"``, ``"province"``, ``"city"``, ``"county"`` or ``"township"`` (国/省/市/县/乡).
        region: Six-digit region code.
        parent: Code of the superior department; empty at the root.
    """

    code: str
    name_zh: str
    name_en: str
    level: str
    region: str
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as registered.

    Attributes:
        name: SQL name.
        name_zh: 中文名称.
        name_en: English name.
        type: Exact type.
        level: Sensitivity.
        sharing: Sharing type; ``sharing_basis`` carries its condition or law.
        sharing_basis: "无条件", the condition and its basis, or the law that forbids sharing.
        uses: Where it may stand.
        unit: Protected unit that a key names (``"person"``, ``"firm"``, ``"household"``); empty otherwise.
        unit_of_measure: E.g. ``"元"``; empty for codes and keys.
        quality: 0 to 1.
        nullable: Whether missing values may occur.
        codes: Public code list with Chinese labels, empty where none.
        held: False for a column that is registered but not yet connected.
        normalise: How a key's texts are brought to one form inside the department before they are joined across
            departments, in order: ``trim``, ``upper``, ``halfwidth`` (full-width digits and letters), ``id18`` (15 to
            18 digit identity numbers, GB 11643).
    """

    name: str
    name_zh: str
    name_en: str
    type: ColumnType
    level: Level
    sharing: Sharing
    sharing_basis: str
    uses: frozenset[Use]
    unit: str = ""
    unit_of_measure: str = ""
    quality: float = 1.0
    nullable: bool = True
    codes: Mapping[str, str] = field(default_factory=dict)
    held: bool = True
    normalise: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """One logical table ``department.table`` and where its rows lie.

    Attributes:
        name: ``"ga.population"``.
        name_zh: 中文名称.
        name_en: English name.
        owner: Department code that answers for it (谁管理谁负责).
        steward: The natural person in charge.
        source_department: 数源部门 when several collect it.
        collection_basis: Law or duty under which it is collected.
        update_frequency: ``"daily"``, ``"monthly"``, ``"yearly"`` ...
        library: ``"基础"``, ``"主题"`` or ``"部门"``.
        format: Data format offered.
        sharing_mode: 共享方式, e.g. ``"query service"``.
        use_conditions: 使用条件.
        risk_assessed_on: Date of the secrecy and personal-information assessment (art. 13).
        head_approval: Who of the department agreed (art. 13).
        quality: 0 to 1.
        unit: Protected unit of a row.
        unit_column: The key column that names it.
        held_by: Departments (nodes) that hold parts of it; a unit's rows all lie in one part.
        region_column: Column with the region code that scopes rows; empty where none.
        columns: By name, in order.
        purpose_note: What it is for, in one sentence.
        rows_by: Columns that identify a row; a second row with the same values is a duplicate registration, which a
            private join counts once. Empty where nothing identifies a row.
        rows: About how many rows it has, for estimates of cost; 0 where not told.
    """

    name: str
    name_zh: str
    name_en: str
    owner: str
    steward: str
    source_department: str
    collection_basis: str
    update_frequency: str
    library: str
    format: str
    sharing_mode: str
    use_conditions: str
    risk_assessed_on: date
    head_approval: str
    quality: float
    unit: str
    unit_column: str
    held_by: tuple[str, ...]
    region_column: str
    columns: Mapping[str, Column]
    purpose_note: str = ""
    rows_by: tuple[str, ...] = ()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """The whole registered world.

    Attributes:
        departments: By code.
        datasets: By ``department.table`` name.
        digest: SHA-256 of the canonical form, hexadecimal.
    """

    departments: Mapping[str, Department]
    datasets: Mapping[str, Dataset]
    digest: str = ""
