"""Classify a column in a bundle's files: the one entry is written, every other byte stays as it is.

People edit these files as well, with comments and in their own order; so nothing is dumped anew. The place is found in
the parsed tree, which knows where each value stands in the text.

Spec: docs/spec/policy-lifecycle.md, "Classification".
"""

import json
import re
from collections.abc import Mapping, Sequence

import yaml

from middleplatform.errors import ConfigError

__all__ = ["classified"]

Rule = Mapping[str, object]

_NEW = "classified.yaml"
_BESIDE = ("personas.yaml", "regulation.yaml")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_STEP = 2


def classified(
    files: Mapping[str, str], dataset: str, column: str, rule: Rule, purposes: Sequence[str] = ()
) -> dict[str, str]:
    """Return ``files`` with the rule of one column written or replaced.

    Args:
        files: Of a bundle, text by name.
        dataset: ``"department.table"``; where it has no rules yet they are begun.
        column: Its name.
        rule: What the column's entry says, by the bundle's schema; empty takes the catalogue's classes.
        purposes: Purposes of a dataset that has no rules yet.

    Raises:
        ConfigError: C001 a file is not YAML.
    """
    written = _flow(rule)
    at: tuple[str, yaml.MappingNode] | None = None
    for name, text in files.items():
        if name in _BESIDE or name.endswith(("_test.yaml", "_test.yml")):
            continue
        datasets = _child(_parsed(name, text), "datasets")
        if not isinstance(datasets, yaml.MappingNode):
            continue
        found = _child(datasets, dataset)
        if isinstance(found, yaml.MappingNode):
            return {**files, name: _in_dataset(text, found, column, written)}
        if at is None and not datasets.flow_style and datasets.value:
            at = name, datasets
    if at is None:
        fresh = "datasets:\n" + _begun(_STEP, dataset, purposes, column, written)
        return {**files, _free(files): fresh}
    name, datasets = at
    indent = datasets.value[0][0].start_mark.column
    begun = _begun(indent, dataset, purposes, column, written)
    return {**files, name: _after(files[name], _end(datasets), "\n" + begun)}


def _in_dataset(text: str, dataset: yaml.MappingNode, column: str, written: str) -> str:
    columns = _child(dataset, "columns")
    if not isinstance(columns, yaml.MappingNode):
        return text  # not by the schema: the check says so, at its place
    there = _pair(columns, column)
    if there is not None:
        key, value = there
        return text[: key.end_mark.index] + f": {written}" + text[_end(value) :]
    if columns.flow_style or not columns.value:
        inside = columns.end_mark.index - 1
        comma = ", " if columns.value else ""
        return text[:inside] + f"{comma}{column}: {written}" + text[inside:]
    indent = " " * columns.value[0][0].start_mark.column
    return _after(text, _end(columns), f"{indent}{column}: {written}\n")


def _begun(indent: int, dataset: str, purposes: Sequence[str], column: str, written: str) -> str:
    """Return the lines that begin the rules of a dataset."""
    one, two, three = (" " * (indent + _STEP * deep) for deep in range(3))
    listed = ", ".join(map(_scalar, purposes))
    return (
        f"{one}{dataset}:\n{two}purposes: [{listed}]\n{two}columns:\n{three}{column}: {written}\n"
    )


def _after(text: str, place: int, lines: str) -> str:
    """Put ``lines`` after the line in which ``place`` lies, with whatever comment ends it."""
    end = text.find("\n", place)
    if end < 0:
        return f"{text}\n{lines}"
    return text[: end + 1] + lines + text[end + 1 :]


def _end(node: yaml.Node) -> int:
    """Return where a node's own text ends; the parser's mark of a block lies behind the comments after it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _pair(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    found = _pair(node, key) if isinstance(node, yaml.MappingNode) else None
    return None if found is None else found[1]


def _parsed(name: str, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        what = (f"{name} is not valid YAML", f"{name} 不是有效的 YAML")
        raise ConfigError("C001", what=what) from None
    return node


def _free(files: Mapping[str, str]) -> str:
    """Return a file name that is not taken."""
    number, name = 1, _NEW
    while name in files:
        number += 1
        name = _NEW.replace(".", f"-{number}.")
    return name


def _flow(rule: Rule) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in rule.items()) + "}"


def _scalar(value: object) -> str:
    """Return a value as YAML that every reader takes alike: bare where it is a plain word, else as JSON."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
