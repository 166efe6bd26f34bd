"""Catalogue, policy and database of the sacrificial dataset, written as files that any gateway can be opened with."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from middleplatform.attack.people import COLUMNS, DATASET, Everyone, write

__all__ = ["DEFAULT", "PROJECTS", "PURPOSE", "THRESHOLD_ONLY", "Defence", "write_sandbox"]

PURPOSE = "statistics"
PROJECTS = (
    "differencing", "individual_tracker", "general_tracker", "repetition", "splitting",
    "reconstruction", "tables", "linkage", "suppressed", "homogeneity", "smuggling", "errors", "timing", "collusion",
    "snapshots",
)  # fmt: skip
"""Registered in the policy: each attack begins with a history of its own."""


@dataclass(frozen=True, slots=True)
class Defence:
    """How the dataset is defended; ``Defence()`` is the default tier.

    Attributes:
        method: Of ``model.policy.METHODS``.
        min_units: Threshold.
        history: Whether released populations are kept and compared.
        overlaps_max: Cap on overlapping releases; 0 for none.
        noise_below: Populations of fewer units get ``noise`` only; 0 for none.
        dominance: (n, percent) pairs.
        p_percent: Of the p % rule.
        homogeneity: Whether cells of one kind are withheld.
        near_duplicates_per_day: Statements alike but for literals.
    """

    method: str = "perturb"
    min_units: int = 10
    history: bool = True
    overlaps_max: int = 12
    noise_below: int = 0
    dominance: tuple[tuple[int, int], ...] = ((1, 50), (2, 67))
    p_percent: int = 10
    homogeneity: bool = True
    near_duplicates_per_day: int = 50
    noise_variance: int = field(default=4)
    magnitude_percent: int = field(default=20)


DEFAULT = Defence()
THRESHOLD_ONLY = Defence(
    "exact", history=False, overlaps_max=0, dominance=(), p_percent=0, homogeneity=False,
    near_duplicates_per_day=1_000_000,
)  # fmt: skip
"""What the attacks succeed against: a threshold and nothing else."""


def write_sandbox(folder: Path, people: Everyone, defence: Defence) -> Mapping[str, Path]:
    """Write everything that a gateway needs to be attacked.

    Args:
        folder: Is made; what it holds under these names is replaced.
        people: Whose rows.
        defence: Of the policy.

    Returns:
        Folders by setting: ``catalog``, ``bundle``, ``data``.
    """
    places = {name: folder / name for name in ("catalog", "bundle", "data")}
    for each in places.values():
        each.mkdir(parents=True, exist_ok=True)
    _yaml(places["catalog"] / "departments.yaml", {"departments": _departments()})
    _yaml(places["catalog"] / "datasets.yaml", {"datasets": {DATASET: _dataset()}})
    _yaml(places["bundle"] / "bundle.yaml", _bundle(defence))
    write(people, places["data"] / "trial.duckdb")
    lines = [f"{name} = {json.dumps(str(place.resolve()))}" for name, place in places.items()]
    lines.append(f"state = {json.dumps(str((folder / 'state').resolve()))}")
    (folder / "settings.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return places


def _yaml(path: Path, value: object) -> None:
    # JSON is YAML.
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _departments() -> list[dict[str, str]]:
    names = {"trial": ("试验部门", "Trial department"), "stats": ("统计局", "Statistics Bureau")}
    place = {"level": "city", "region": "990100"}
    return [
        {"code": "city", "name_zh": "示例市", "name_en": "Example City", **place},
        *(
            {"code": code, "name_zh": chinese, "name_en": english, "parent": "city", **place}
            for code, (chinese, english) in names.items()
        ),
    ]


def _dataset() -> dict[str, object]:
    dimension = {"level": "general-2", "uses": "dimension"}
    measure = {
        "type": "decimal(12,2)",
        "level": "general-3",
        "uses": "measure",
        "unit_of_measure": "元",
    }
    columns: dict[str, dict[str, object]] = {
        "id_number": {"name_zh": "公民身份号码", "type": "text", "level": "general-3", "uses": "key", "unit": "person"},
        "sex": {"name_zh": "性别", "type": "text", **dimension},
        "birth_year": {"name_zh": "出生年", "type": "integer", **dimension},
        "county": {"name_zh": "区县", "type": "text", **dimension},
        "street": {"name_zh": "街道", "type": "text", **dimension},
        "occupation": {"name_zh": "职业", "type": "text", **dimension},
        "workplace": {"name_zh": "工作单位", "type": "text", **dimension},
        "status": {"name_zh": "状态", "type": "text", **dimension},
        "benefit": {"name_zh": "补助", **measure},
        "income": {"name_zh": "收入", **measure},
    }  # fmt: skip
    shared = {"sharing": "unconditional", "nullable": False}
    return {
        "name_zh": "补助（试验数据）", "name_en": "Allowance (sacrificial data)", "owner": "trial",
        "steward": "trial 共享工作机构负责人", "source_department": "trial", "collection_basis": "试验数据",
        "update_frequency": "yearly", "library": "部门", "format": "table", "sharing_mode": "query service",
        "use_conditions": "只提供聚合结果", "risk_assessed_on": "2026-01-05", "head_approval": "trial 主要负责人",
        "quality": 1, "unit": "person", "unit_column": "id_number", "rows_by": ["id_number"],
        "columns": {
            name: {"name_en": name.replace("_", " "), **shared, **each} for name, each in columns.items()
        },
    }  # fmt: skip


def _bundle(defence: Defence) -> dict[str, object]:
    rules = asdict(defence)
    alike = rules.pop("near_duplicates_per_day")
    plain: dict[str, object] = {name: {} for name in COLUMNS}
    plain["benefit"] = {"breakpoints": [0, 500]}
    plain["income"] = {"breakpoints": [5000, 10000, 20000, 30000]}
    return {
        "name": "attacked", "version": "1", "effective": "2026-01-01", "extends": "baseline",
        "purposes": {PURPOSE: {"name_zh": "统计分析", "name_en": "statistics", "roles": ["analyst"]}},
        "disclosure": rules,
        "limits": {"projects": list(PROJECTS), "near_duplicates_per_day": alike, "answer_grid_ms": 0},
        "datasets": {
            DATASET: {
                "purposes": [PURPOSE],
                "unit_breakpoints": [0, 1, 2, 3, 5, 10, 20],
                "columns": plain,
            }
        },
    }  # fmt: skip
