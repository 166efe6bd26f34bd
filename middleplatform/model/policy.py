"""The policy language as frozen values: what a loaded, validated bundle is.

Spec: docs/spec/policy-bundle.md. A bundle says what may be done with each column (it may only tighten what the
catalogue says), for which purposes, by whom, under which grants, and with which disclosure parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.model.request import Role

LAST_CODE = "\U0010ffff"
"""Sorts after every character: a code with it appended is the end of the codes that begin with the code."""

__all__ = [
    "LAST_CODE",
    "METHODS",
    "Bundle", "ColumnRule", "DatasetRule", "DisclosureParameters", "Grant", "Limits", "PrivacyRule",
    "ProbingRule", "Purpose", "Risk", "Template", "Withheld",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Withheld:
    """A range of codes of a dimension that law keeps from sharing, e.g. ``F10`` to ``F69`` (both included)."""

    first: str
    last: str
    law: str


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What the bundle says of one column.

    Attributes:
        level: Not below the catalogue's.
        sharing: Not looser than the catalogue's.
        law: The law cited by ``not_shared``, or the basis of a condition.
        uses: Not more than the catalogue's.
        unit: Protected unit that a key names.
        breakpoints: The only literals that a measure may be compared with, in the column's unit of measure.
        finest: Finest date bucket: ``"month"``, ``"quarter"``, ``"year"``; empty for none at all.
        generalise: Band width to which a grouped integer column is rewritten (``5``), or 0 for none.
        bucket: Date bucket to which a grouped date is rewritten, or empty for none.
        release: ``"plain"``, ``"sealed"`` or ``"both"``.
        min_units: Threshold wherever the column is referenced; 0 to inherit the dataset's.
        withheld: Code ranges that may not be asked for.
        cap: Most that one unit counts for in a sum of a private join, in the column's unit of measure; None for no
            cap: then a private join sums the column sealed, or where dominance need not be judged.
    """

    level: Level
    sharing: Sharing
    law: str
    uses: frozenset[Use]
    unit: str = ""
    breakpoints: tuple[Decimal, ...] = ()
    finest: str = ""
    generalise: int = 0
    bucket: str = ""
    release: str = "plain"
    min_units: int = 0
    withheld: tuple[Withheld, ...] = ()
    cap: Decimal | None = None


METHODS = ("exact", "table", "perturb", "noise")
"""How released values are protected beyond the primary rules, in rising strictness."""


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """Differential privacy of a dataset (tier D): what one answer may cost, and all of them together.

    Privacy loss is zero-concentrated (Bun and Steinke 2016), in exact fractions of rho.

    Attributes:
        rho: Of one answer, unless the analyst asks for less; also the most that an answer may ask for.
        delta: At which epsilon is told, and of delta-thresholding of labels.
        groups: Most groups (cells) of one statement to which a unit contributes.
        rows: Most rows that a unit counts for in one cell.
        rho_snapshot: Of everything released of one snapshot of the dataset.
        rho_project: Of it, for one project.
        rho_analyst: Of it, for one analyst.
    """

    rho: Fraction = Fraction(1, 50)
    delta: Fraction = Fraction(1, 10**9)
    groups: int = 3
    rows: int = 12
    rho_snapshot: Fraction = Fraction(1)
    rho_project: Fraction = Fraction(1, 2)
    rho_analyst: Fraction = Fraction(1, 4)


@dataclass(frozen=True, slots=True)
class DisclosureParameters:
    """Numbers of disclosure control; policy data, recorded in every audit entry.

    Attributes:
        min_units: Threshold k in distinct protected units; 1 switches unit protection off (general level 1 only).
        dominance: (n, percent) pairs: a magnitude is withheld when its n largest units exceed percent of it.
        p_percent: A magnitude is withheld when the second largest unit could estimate the largest within p %.
        homogeneity: Withhold all-zero, 0 % and 100 % cells.
        history: Keep and check released populations (R14).
        method: One of ``METHODS``: ``exact`` values, where the primary rules let them; ``table`` as exact, with
            secondary suppression that withstands a linear-programming attacker; ``perturb`` by cell key; ``noise`` of
            differential privacy only.
        noise_max: Largest perturbation of a count (D of the perturbation table).
        noise_variance: Its variance (V).
        noise_js: No perturbed count lies in 1 to this number.
        magnitude_percent: Standard deviation of a magnitude's own perturbation, percent of its largest unit.
        interval_percent: Under ``table``: the least width of what an attacker can tell of a withheld value, percent
            of it.
        overlaps_max: Releases of one population that overlap others; past it only ``noise`` answers. 0 for no cap.
        noise_below: Populations of fewer units are answered with ``noise`` only. 0 for none.
        privacy: Of tier D; None where it is not offered.
    """

    min_units: int = 10
    dominance: tuple[tuple[int, int], ...] = ((1, 50), (2, 67))
    p_percent: int = 10
    homogeneity: bool = True
    history: bool = True
    method: str = "exact"
    noise_max: int = 7
    noise_variance: int = 4
    noise_js: int = 2
    magnitude_percent: int = 20
    interval_percent: int = 20
    overlaps_max: int = 0
    noise_below: int = 0
    privacy: PrivacyRule | None = None

    @property
    def keyed(self) -> bool:
        """Say whether what several departments answer together is perturbed by cell key.

        Secondary suppression needs a table's labels, which nobody has while several departments answer: there
        ``table`` is perturbed too.
        """
        return self.method in ("table", "perturb") and self.min_units > 1


@dataclass(frozen=True, slots=True)
class DatasetRule:
    """What the bundle says of one dataset.

    Attributes:
        owner: Department that imposed it.
        purposes: Purposes for which it may be asked at all.
        disclosure: Its parameters.
        unit_breakpoints: Literals with which COUNT(*) per unit may be compared.
        columns: By name; a column that is missing here is denied.
        join: How its rows may be joined with other departments': ``"helper"``, ``"blinded"`` or ``"none"``; the
            strictest of a statement's datasets counts.
    """

    owner: str
    purposes: frozenset[str]
    disclosure: DisclosureParameters
    unit_breakpoints: tuple[Decimal, ...]
    columns: Mapping[str, ColumnRule]
    join: str = "helper"


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose that a query may state."""

    code: str
    name_zh: str
    name_en: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Grant:
    """A time-boxed permission (decree 809 art. 20 to 25).

    Attributes:
        id: Number under which it was granted.
        departments: Departments of the subjects it binds; empty for none.
        subjects: Logins it binds; empty means everyone of ``departments``.
        purposes: Purposes it binds.
        columns: ``"dataset.column"`` names, or ``"dataset.*"``.
        operations: Of ``join``, ``filter``, ``group``, ``aggregate``, ``count``.
        regions: Region codes; ``("*",)`` for all.
        starts: First moment, UTC.
        ends: First moment at which it no longer holds, UTC.
        basis: 使用依据.
        own_data: True lets stewards of the owning department see cells of any size of their own data.
    """

    id: str
    departments: frozenset[str]
    subjects: frozenset[str]
    purposes: frozenset[str]
    columns: frozenset[str]
    operations: frozenset[str]
    regions: tuple[str, ...]
    starts: datetime
    ends: datetime
    basis: str
    own_data: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """The recorded assessment without which no template is approved.

    Attributes:
        secrecy: What was found on state secrets and sensitive matters (保密风险).
        personal: What was found on personal information (个人信息保护影响).
        assessed_by: Who answers for it.
        assessed_on: Day.
    """

    secrecy: str
    personal: str
    assessed_by: str
    assessed_on: date


@dataclass(frozen=True, slots=True)
class Template:
    """An approved statement: it opens the conditional columns that it names, for this statement alone.

    Attributes:
        name: Code; ``T/<name>`` is its number where a grant's would stand.
        title_zh: What it tells, Chinese.
        title_en: The same, English.
        sql: Statement with ``:name`` in the places of literals.
        parameters: (name, permitted literals as SQL text) pairs, in the order in which they are written.
        departments: Departments of the subjects to whom it is open; empty for none.
        subjects: Logins to whom it is open; empty means everyone of ``departments``.
        purposes: Purposes for which it may be asked.
        regions: Region codes; ``("*",)`` for all.
        starts: First moment, UTC.
        ends: First moment at which it no longer holds, UTC.
        basis: 使用依据: law and duty.
        risk: Recorded assessment.
    """

    name: str
    title_zh: str
    title_en: str
    sql: str
    parameters: tuple[tuple[str, tuple[str, ...]], ...]
    departments: frozenset[str]
    subjects: frozenset[str]
    purposes: frozenset[str]
    regions: tuple[str, ...]
    starts: datetime
    ends: datetime
    basis: str
    risk: Risk


@dataclass(frozen=True, slots=True)
class ProbingRule:
    """When asking looks like probing, and what is done then; docs/spec/freezes.md.

    Attributes:
        signal: What is counted: ``refusals`` (of questions, by policy or disclosure control), ``near_duplicates``
            (different statements of one form), ``budget`` (rho of answers with noise), ``purposes`` (different ones).
        per: For each ``user``, ``project`` or ``department``.
        most: What is let pass; more is an alert. A whole number, of ``budget`` an exact fraction.
        minutes: Within how many.
        freeze: Whom of the question that crossed it to freeze at once: ``user``, ``project``, ``department``, or
            empty for nobody.
        hours: Until when such a freeze holds; 0 for until two people end it.
    """

    signal: str
    per: str
    most: Fraction
    minutes: int
    freeze: str = ""
    hours: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one statement and on asking.

    Attributes:
        sql_characters_max: Length of the text.
        depth_max: Nesting of the tree.
        joins_max: Relations in one statement.
        group_columns_max: Grouping columns.
        group_columns_max_level_4: The same with a level-4 column in the statement.
        cells_max: Cells in an answer.
        near_duplicates_per_day: Statements alike but for literals, for each project.
        projects: Projects that may be named beside a department's own; history is kept for each (R14), so
            ``"*"``, which lets analysts name any, is for tests only.
        join_rows_max: List rows of all sides of a private join together; enforced before anything runs where sizes are
            known, and by the gateway on what the departments bring.
        answer_grid_ms: Answers and refusals leave at whole multiples of this after the question came; 0 for at once.
        probing: What looks like probing; at most one rule for each signal and whom it is counted for.
    """

    sql_characters_max: int = 20_000
    depth_max: int = 60
    joins_max: int = 8
    group_columns_max: int = 3
    group_columns_max_level_4: int = 2
    cells_max: int = 100_000
    near_duplicates_per_day: int = 50
    projects: tuple[str, ...] = ()
    join_rows_max: int = 20_000_000
    answer_grid_ms: int = 0
    probing: tuple[ProbingRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A validated set of policy files.

    Attributes:
        name: Bundle name.
        version: The officers' version label.
        digest: SHA-256 of the canonical form, hexadecimal; every decision and entry names it.
        effective: First day it holds.
        purposes: By code.
        datasets: By name; a dataset that is missing here is denied.
        grants: All of them; which one holds is judged per query.
        limits: Bounds.
        raw: The parsed YAML as loaded, for export and diff.
        templates: Approved statements, by name.
    """

    name: str
    version: str
    digest: str
    effective: date
    purposes: Mapping[str, Purpose]
    datasets: Mapping[str, DatasetRule]
    grants: tuple[Grant, ...]
    limits: Limits
    raw: Mapping[str, object] = field(default_factory=dict, compare=False)
    templates: Mapping[str, Template] = field(default_factory=dict)
