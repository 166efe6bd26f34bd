"""Load the catalogue: read, inherit, validate, build. Every problem is reported at once."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

from middleplatform.catalog.articles import ARTICLES
from middleplatform.catalog.checks import Source, problems_of
from middleplatform.errors import ConfigError
from middleplatform.model.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Department,
    Level,
    Sharing,
    TypeKind,
    Use,
)
from policies.documents import Document, Problem, digest, place, read
from policies.schemas import violations

__all__ = ["load"]

Raw = Mapping[str, object]

_LEVELS = {
    "general-1": Level.GENERAL_1,
    "general-2": Level.GENERAL_2,
    "general-3": Level.GENERAL_3,
    "general-4": Level.GENERAL_4,
    "important": Level.IMPORTANT,
    "core": Level.CORE,
}


def load(folder: Path | Traversable) -> Catalog:
    """Return the catalogue that the YAML files of ``folder`` register.

    Args:
        folder: Holds ``departments.yaml`` and one or more other ``*.yaml`` files with ``datasets``.

    Returns:
        Departments and datasets in file and document order, with the SHA-256 of the canonical form.

    Raises:
        ConfigError: C002, naming every problem with file, line, dataset, column and field; the
            problems themselves are in ``error.parts["problems"]``.
    """
    documents, problems = _read(folder)
    resolved, more = _inherit(documents)
    problems += more
    for document in documents:
        problems += _schema_problems(document, resolved)
    departments = _departments(documents)
    sources = {name: Source(doc, name, raw) for name, (doc, raw) in resolved.items()}
    problems += problems_of(departments, tuple(sources.values()))
    if problems:
        raise _invalid(problems)
    return _build(departments, {name: raw for name, (_, raw) in resolved.items()})


def _invalid(problems: Sequence[Problem]) -> ConfigError:
    ordered = sorted(set(problems), key=lambda each: (each.file, each.line, each.column))
    texts = tuple("\n".join(each.text(locale) for each in ordered) for locale in ("en", "zh"))
    return ConfigError("C002", what=texts, problems=ordered)


def _read(folder: Path | Traversable) -> tuple[list[Document], list[Problem]]:
    """Read every file; a file that cannot be read leaves problems and no document."""
    documents: list[Document] = []
    problems: list[Problem] = []
    entries = sorted(folder.iterdir(), key=lambda each: each.name) if folder.is_dir() else []
    for entry in entries:
        if not entry.name.endswith((".yaml", ".yml")):
            continue
        document, found = read(entry.name, entry.read_bytes())
        problems += found
        if isinstance(document.value, dict):
            documents.append(document)
        elif not found:
            what = ("the file holds no mapping", "文件内容不是映射")
            problems.append(Problem(entry.name, 1, 1, "", what))
    if not any(document.name == "departments.yaml" for document in documents) and not any(
        problem.file == "departments.yaml" for problem in problems
    ):
        what = ("the file is missing", "缺少该文件")
        problems.append(Problem("departments.yaml", 0, 0, "", what))
    problems += _misplaced(documents)
    return documents, problems


def _misplaced(documents: Sequence[Document]) -> list[Problem]:
    problems = []
    for document in documents:
        wrong = "datasets" if document.name == "departments.yaml" else "departments"
        if wrong in cast("Raw", document.value):
            what = (f"{wrong} do not stand in this file", f"{wrong} 不应出现在此文件")
            problems.append(Problem(document.name, *place(document, (wrong,)), wrong, what))
    return problems


def _datasets(document: Document) -> Mapping[str, object]:
    found = cast("Raw", document.value).get("datasets")
    return found if isinstance(found, dict) else {}


def _inherit(
    documents: Sequence[Document],
) -> tuple[dict[str, tuple[Document, Raw]], list[Problem]]:
    """Follow every ``like``; return each dataset's full mapping by name."""
    written: dict[str, tuple[Document, Raw]] = {}
    problems: list[Problem] = []
    for document in documents:
        for name, raw in _datasets(document).items():
            if name in written:
                what = (f"dataset {name} is registered twice", f"数据集 {name} 重复登记")
                spot = place(document, ("datasets", name))
                problems.append(Problem(document.name, *spot, name, what))
            elif isinstance(raw, dict):
                written[name] = (document, raw)
    resolved: dict[str, tuple[Document, Raw]] = {}
    for name, (document, _) in written.items():
        chain = _chain(name, written)
        if chain is None:
            what = ("like names no dataset, or runs in a circle", "like 指向未知数据集或循环引用")
            spot = place(document, ("datasets", name, "like"))
            problems.append(Problem(document.name, *spot, f"{name} / like", what))
        else:
            resolved[name] = (document, _merged(chain))
    return resolved, problems


def _chain(name: str, written: Mapping[str, tuple[Document, Raw]]) -> list[Raw] | None:
    """Return the mappings from the dataset to its furthest ancestor, or None."""
    chain: list[Raw] = []
    seen: set[str] = set()
    while True:
        if name in seen or name not in written:
            return None
        seen.add(name)
        raw = written[name][1]
        chain.append(raw)
        if "like" not in raw:
            return chain
        name = str(raw["like"])


def _merged(chain: Sequence[Raw]) -> Raw:
    merged: dict[str, object] = {}
    for raw in reversed(chain):
        columns = _merged_columns(merged.get("columns"), raw.get("columns"))
        merged |= {key: value for key, value in raw.items() if key != "like"}
        if columns is not None:
            merged["columns"] = columns
    return merged


def _merged_columns(inherited: object, own: object) -> object:
    if not isinstance(inherited, dict):
        return own
    if not isinstance(own, dict):
        return inherited if own is None else own
    columns = dict(inherited)
    for name, fields in own.items():
        before = columns.get(name)
        if isinstance(before, dict) and isinstance(fields, dict):
            columns[name] = {**before, **fields}
        else:
            columns[name] = fields
    return columns


def _schema_problems(
    document: Document, resolved: Mapping[str, tuple[Document, Raw]]
) -> list[Problem]:
    value = dict(cast("Raw", document.value))
    if isinstance(value.get("datasets"), dict):
        value["datasets"] = {
            name: resolved[name][1] if name in resolved and resolved[name][0] is document else raw
            for name, raw in _datasets(document).items()
        }
    problems = []
    for found in violations(value, "catalog"):
        path = found.path
        where = (
            " / ".join(map(str, path[1:]))
            if path[:1] == ("datasets",)
            else ".".join(map(str, path))
        )
        what = found.what
        if found.keyword == "required" and found.field in ARTICLES:
            law_en, law_zh = ARTICLES[found.field]
            what = (f"{what[0]} ({law_en})", f"{what[1]}（{law_zh}）")
        spot = place(document, (*path, found.field) if found.keyword != "required" else path)
        problems.append(Problem(document.name, *spot, where, what))
    return problems


def _departments(documents: Sequence[Document]) -> Source:
    for document in documents:
        if document.name == "departments.yaml":
            return Source(document, "departments", cast("Raw", document.value))
    return Source(Document("departments.yaml", None), "departments", {})


def _build(departments: Source, datasets: Mapping[str, Raw]) -> Catalog:
    listed = cast("list[Raw]", departments.raw["departments"])
    canonical = {"departments": {str(each["code"]): each for each in listed}, "datasets": datasets}
    return Catalog(
        departments={str(each["code"]): _department(each) for each in listed},
        datasets={name: _dataset(name, raw) for name, raw in datasets.items()},
        digest=digest(canonical),
    )


def _department(raw: Raw) -> Department:
    fields = {key: str(value) for key, value in raw.items()}
    return Department(**fields)


def _dataset(name: str, raw: Raw) -> Dataset:
    columns = cast("Mapping[str, Raw]", raw["columns"])
    text = {
        key: str(raw.get(key, ""))
        for key in (
            "name_zh", "name_en", "owner", "steward", "source_department", "collection_basis",
            "update_frequency", "library", "format", "sharing_mode", "use_conditions",
            "head_approval", "unit", "unit_column", "region_column", "purpose_note",
        )
    }  # fmt: skip
    return Dataset(
        name=name,
        risk_assessed_on=date.fromisoformat(str(raw["risk_assessed_on"])),
        quality=float(cast("int", raw["quality"])),
        held_by=tuple(cast("list[str]", raw.get("held_by", [name.split(".", maxsplit=1)[0]]))),
        columns={key: _column(key, value) for key, value in columns.items()},
        rows_by=tuple(cast("list[str]", raw.get("rows_by", []))),
        rows=cast("int", raw.get("rows", 0)),
        **text,
    )


def _column(name: str, raw: Raw) -> Column:
    uses = raw["uses"]
    return Column(
        name=name,
        name_zh=str(raw["name_zh"]),
        name_en=str(raw["name_en"]),
        type=_type(str(raw["type"])),
        level=_LEVELS[str(raw["level"])],
        sharing=Sharing(str(raw["sharing"])),
        sharing_basis=str(raw.get("sharing_basis", "无条件")),
        uses=frozenset(Use(str(use)) for use in (uses if isinstance(uses, list) else [uses])),
        unit=str(raw.get("unit", "")),
        unit_of_measure=str(raw.get("unit_of_measure", "")),
        quality=float(cast("int", raw.get("quality", 1))),
        nullable=bool(raw.get("nullable", True)),
        codes=cast("Mapping[str, str]", raw.get("codes", {})),
        held=bool(raw.get("held", True)),
        normalise=tuple(cast("list[str]", raw.get("normalise", []))),
    )


def _type(text: str) -> ColumnType:
    numbers = [int(digits) for digits in re.findall(r"\d+", text)]
    if text.startswith("decimal"):
        return ColumnType(TypeKind.DECIMAL, numbers[0], numbers[1])
    return ColumnType(TypeKind(text))
