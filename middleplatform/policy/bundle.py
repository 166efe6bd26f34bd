"""Load a policy bundle: read, validate, tighten over the catalogue, freeze, hash."""

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from fractions import Fraction
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from middleplatform.model.catalog import Catalog, Dataset, Level
from middleplatform.model.policy import (
    Bundle,
    ColumnRule,
    DatasetRule,
    DisclosureParameters,
    Limits,
    PrivacyRule,
    ProbingRule,
    Purpose,
)
from middleplatform.model.request import Role
from middleplatform.policy import grants, templates
from middleplatform.policy.noise_numbers import NO_TABLE, has_table
from middleplatform.policy.sources import Merged, invalid, merge
from middleplatform.policy.tighten import breakpoints, column_rule, loosenings
from policies.documents import Path as Steps
from policies.documents import digest

__all__ = ["canonical_form", "load"]

Raw = Mapping[str, object]
Said = tuple[Steps, tuple[str, str]]


def load(source: Path | Traversable, catalog: Catalog) -> Bundle:
    """Return the bundle written in ``source``, laid over ``catalog``.

    Args:
        source: A folder of YAML files or one file.
        catalog: What it may only tighten.

    Returns:
        The effective rules; ``digest`` is the SHA-256 of their canonical form, so neither layout
        nor comments nor the split into files change it.

    Raises:
        ConfigError: C001, naming every problem with file, line and column; the problems themselves
            are in ``error.parts["problems"]``.
    """
    merged = merge(source)
    problems = [merged.problem(path, what) for path, what in _problems(merged, catalog)]
    if problems:
        raise invalid(problems)
    bundle = _build(merged, catalog)
    return dataclasses.replace(bundle, digest=digest(canonical_form(bundle)))


def canonical_form(bundle: Bundle) -> Mapping[str, object]:
    """Return the effective rules as JSON-like values, without digest and source text.

    Templates stand there only where there are any: a bundle without them keeps the digest that it always had.
    """
    plain = cast("dict[str, object]", _plain(bundle))
    absent = {"digest", "raw"} | ({"templates"} if not bundle.templates else set())
    return {key: value for key, value in plain.items() if key not in absent}


_TWICE = (
    "a signal has one rule for each whom it is counted for",
    "同一信号对同一统计对象只能有一条规则",
)
_TEMPLATES_MANY = (
    f"more than {templates.TEMPLATES_MAX} templates",
    f"模板超过 {templates.TEMPLATES_MAX} 个",
)
_TEMPLATES_OWN = (
    f"a number that begins with {templates.PREFIX} is a template's",
    f"以 {templates.PREFIX} 开头的编号专属模板",
)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(str(_plain(each)) for each in value)
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def _problems(merged: Merged, catalog: Catalog) -> Iterator[Said]:
    for field in ("name", "version", "effective"):
        if field not in merged.value:
            yield (), (f"field {field} is missing", f"缺少字段 {field}")
    purposes = frozenset(merged.mapping("purposes"))
    for name, raw in merged.mapping("datasets").items():
        for path, what in _dataset_problems(cast("Raw", raw), catalog.datasets.get(name), merged):
            yield ("datasets", name, *path), what
    counted: set[object] = set()
    for index, raw in enumerate(cast("list[Raw]", merged.mapping("limits").get("probing", []))):
        rule = raw["signal"], raw["per"]
        if rule in counted:
            yield ("limits", "probing", index), _TWICE
        counted.add(rule)
    yield from _given_problems(merged, catalog, purposes)


def _given_problems(merged: Merged, catalog: Catalog, purposes: frozenset[str]) -> Iterator[Said]:
    """Grants and templates."""
    seen: set[object] = set()
    for index, grant in enumerate(cast("list[Raw]", merged.value.get("grants", []))):
        if grant["id"] in seen:
            yield ("grants", index, "id"), ("the number is used twice", "批准文号重复")
        seen.add(grant["id"])
        if str(grant["id"]).startswith(templates.PREFIX):
            yield ("grants", index, "id"), _TEMPLATES_OWN
        for field, what in grants.problems_of(grant, catalog, purposes):
            yield ("grants", index, field), what
    if len(merged.mapping("templates")) > templates.TEMPLATES_MAX:
        yield ("templates",), _TEMPLATES_MANY
    for name, template in merged.mapping("templates").items():
        for field, what in templates.problems_of(cast("Raw", template), catalog, purposes):
            yield ("templates", name, field), what


def _dataset_problems(raw: Raw, dataset: Dataset | None, merged: Merged) -> Iterator[Said]:
    if dataset is None:
        yield (), ("the dataset is not in the catalogue", "目录中没有该数据集")
        return
    if raw.get("owner", dataset.owner) != dataset.owner:
        what = f"the catalogue's owner is {dataset.owner}", f"目录中的提供部门是 {dataset.owner}"
        yield ("owner",), what
    for code in cast("list[str]", raw["purposes"]):
        if code not in merged.mapping("purposes"):
            yield ("purposes",), (f"purpose {code} is unknown", f"未知的使用目的 {code}")
    columns = cast("Mapping[str, Raw]", raw["columns"])
    for name, rule in columns.items():
        if name not in dataset.columns:
            yield ("columns", name), ("the column is not in the catalogue", "目录中没有该列")
            continue
        for field, what in loosenings(rule, dataset.columns[name]):
            yield ("columns", name, field), what
    parameters = _parameters(raw, merged)
    if not has_table(parameters):
        yield ("disclosure", "noise_variance"), NO_TABLE
    if parameters.min_units == 1 and not _public(dataset, columns):
        yield (
            ("disclosure", "min_units"),
            (
                "min_units 1 needs every column of the dataset at level general-1",
                "min_units 为 1 要求数据集所有列均为一般1级",
            ),
        )


def _public(dataset: Dataset, columns: Mapping[str, Raw]) -> bool:
    rules = [column_rule(columns.get(name, {}), column) for name, column in dataset.columns.items()]
    return all(rule.level is Level.GENERAL_1 for rule in rules)


def _parameters(raw: Raw, merged: Merged) -> DisclosureParameters:
    own = cast("Raw", raw.get("disclosure", {}))
    # The schema has fixed the type of each field.
    fields: dict[str, Any] = {**merged.mapping("disclosure"), **own}
    if "dominance" in fields:
        fields["dominance"] = tuple((pair[0], pair[1]) for pair in fields["dominance"])
    # Fail closed: who says nothing about it releases no exact value.
    fields.setdefault("method", "perturb")
    if "privacy" in fields:
        numbers: dict[str, Any] = {
            name: Fraction(value) if isinstance(value, str) else value
            for name, value in fields["privacy"].items()
        }
        fields["privacy"] = PrivacyRule(**numbers)
    return DisclosureParameters(**fields)


def _build(merged: Merged, catalog: Catalog) -> Bundle:
    limits: dict[str, Any] = dict(merged.mapping("limits"))
    limits["projects"] = tuple(limits.get("projects", ()))
    limits["probing"] = tuple(
        ProbingRule(**{**raw, "most": Fraction(raw["most"])}) for raw in limits.get("probing", ())
    )
    return Bundle(
        name=str(merged.value["name"]),
        version=str(merged.value["version"]),
        digest="",
        effective=date.fromisoformat(str(merged.value["effective"])),
        purposes={
            code: _purpose(code, cast("Raw", raw))
            for code, raw in merged.mapping("purposes").items()
        },
        datasets={
            name: _dataset(cast("Raw", raw), catalog.datasets[name], merged)
            for name, raw in merged.mapping("datasets").items()
        },
        grants=tuple(
            grants.build(raw) for raw in cast("list[Raw]", merged.value.get("grants", []))
        ),
        limits=Limits(**limits),
        raw=merged.value,
        templates={
            name: templates.build(name, cast("Raw", raw))
            for name, raw in sorted(merged.mapping("templates").items())
        },
    )


def _purpose(code: str, raw: Raw) -> Purpose:
    roles = frozenset(Role(role) for role in cast("list[str]", raw["roles"]))
    return Purpose(code, str(raw["name_zh"]), str(raw["name_en"]), roles)


def _dataset(raw: Raw, dataset: Dataset, merged: Merged) -> DatasetRule:
    columns = cast("Mapping[str, Raw]", raw["columns"])
    rules: dict[str, ColumnRule] = {
        name: column_rule(rule, dataset.columns[name]) for name, rule in columns.items()
    }
    return DatasetRule(
        owner=dataset.owner,
        purposes=frozenset(cast("list[str]", raw["purposes"])),
        disclosure=_parameters(raw, merged),
        unit_breakpoints=breakpoints(raw.get("unit_breakpoints", [])),
        columns=rules,
        join=str(raw.get("join", "helper")),
    )
