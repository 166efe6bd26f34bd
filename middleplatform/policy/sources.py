"""Read the files of a bundle and lay them together, remembering where every value stands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import cast

import policies
from middleplatform.errors import ConfigError
from policies.documents import Document, Problem, place, read
from policies.documents import Path as Steps
from policies.schemas import breaches

__all__ = ["Merged", "Problem", "invalid", "merge"]

Raw = Mapping[str, object]

# What stands beside a bundle without being part of it.
_BESIDE = ("personas.yaml", "regulation.yaml")
_BY_NAME = ("datasets", "purposes", "templates")
_LAYERED = ("disclosure", "limits")


@dataclass(frozen=True, slots=True)
class Merged:
    """A bundle's files as one mapping.

    Attributes:
        value: By top-level key of the schema; grants in file order.
        documents: Where the parts come from.
        grants: (document, index in its list) of each grant.
    """

    value: Raw
    documents: tuple[Document, ...]
    grants: tuple[tuple[Document, int], ...]

    def mapping(self, key: str) -> Raw:
        """Return the mapping under ``key``, empty where there is none."""
        return cast("Raw", self.value.get(key, {}))

    def problem(self, path: Steps, what: tuple[str, str]) -> Problem:
        """Return a problem at ``path``, in the file where most of the path stands."""
        named = path
        documents = self.documents
        if path[:1] == ("grants",) and len(path) > 1:
            document, index = self.grants[cast("int", path[1])]
            documents, path = (document,), ("grants", index, *path[2:])
        best = max(documents, key=lambda each: _depth(each, path))
        steps = named[1:] if named[:1] == ("datasets",) else named
        return Problem(best.name, *place(best, path), " / ".join(map(str, steps)), what)


def _depth(document: Document, path: Steps) -> int:
    return max((n for n in range(len(path) + 1) if path[:n] in document.places), default=-1)


def invalid(problems: Sequence[Problem]) -> ConfigError:
    """Return C001 with every problem, sorted by place; the values are in ``parts["problems"]``."""
    ordered = sorted(
        set(problems), key=lambda each: (each.file, each.line, each.column, each.where)
    )
    texts = tuple("\n".join(each.text(locale) for each in ordered) for locale in ("en", "zh"))
    return ConfigError("C001", what=texts, problems=ordered)


def merge(source: Path | Traversable) -> Merged:
    """Read a bundle's folder or its single file, with the baseline beneath where it extends it.

    Raises:
        ConfigError: C001, with every problem of syntax and schema in every file.
    """
    own = _read(source)
    if "extends" not in own.value:
        return own
    base = _read(policies.root() / str(own.value["extends"]))
    layered = {key: {**base.mapping(key), **own.mapping(key)} for key in (*_BY_NAME, *_LAYERED)}
    kept = {"extends", "name", "version", "effective", "description"}
    grants = [*_grants(base), *_grants(own)]
    value = {
        **{key: own.value[key] for key in kept if key in own.value},
        **layered,
        "grants": grants,
    }
    return Merged(value, (*own.documents, *base.documents), base.grants + own.grants)


def _grants(merged: Merged) -> list[object]:
    return cast("list[object]", merged.value.get("grants", []))


def _read(source: Path | Traversable) -> Merged:
    documents: list[Document] = []
    problems: list[Problem] = []
    for entry in _entries(source):
        document, found = read(entry.name, entry.read_bytes())
        problems += found
        if found:
            continue
        whole = document if document.value is not None else Document(document.name, {})
        problems += breaches(whole, "bundle")
        documents.append(document)
    if not documents and not problems:
        what = ("no policy file is there", "没有策略文件")
        problems.append(Problem(source.name, 0, 0, "", what))
    value, grants, more = _lay(documents) if not problems else ({}, [], [])
    if problems or more:
        raise invalid([*problems, *more])
    return Merged(value, tuple(documents), tuple(grants))


def _entries(source: Path | Traversable) -> Iterator[Path | Traversable]:
    if source.is_file():
        yield source
    elif source.is_dir():
        for entry in sorted(source.iterdir(), key=lambda each: each.name):
            beside = entry.name in _BESIDE or entry.name.endswith(("_test.yaml", "_test.yml"))
            if entry.is_file() and entry.name.endswith((".yaml", ".yml")) and not beside:
                yield entry


def _lay(
    documents: Sequence[Document],
) -> tuple[dict[str, object], list[tuple[Document, int]], list[Problem]]:
    value: dict[str, object] = {}
    grants: list[tuple[Document, int]] = []
    problems: list[Problem] = []
    for document in documents:
        for key, part in cast("Raw", document.value or {}).items():
            if key == "grants":
                listed = cast("list[object]", part)
                value[key] = [*cast("list[object]", value.get(key, [])), *listed]
                grants += [(document, index) for index in range(len(listed))]
                continue
            clashes = _clashes(value, key, part)
            for path in clashes:
                what = ("this stands in another file too", "其他文件中已有此项")
                where = " / ".join(map(str, path))
                problems.append(Problem(document.name, *place(document, path), where, what))
            if key in _BY_NAME:
                value[key] = {**cast("Raw", value.get(key, {})), **cast("Raw", part)}
            else:
                value[key] = part
    return value, grants, problems


def _clashes(value: Raw, key: str, part: object) -> list[Steps]:
    if key not in value:
        return []
    if key not in _BY_NAME:
        return [(key,)]
    return [(key, name) for name in cast("Raw", part) if name in cast("Raw", value[key])]
