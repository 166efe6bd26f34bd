"""Classify a column in a bundle's files: the one entry is written, every other byte stays as it is.

People edit these files as well, with comments and in their own order; so nothing is dumped anew. The place is found in
the parsed tree, which knows where each value stands in the text. Whatever form the text has (anchors, aliases, merges),
what comes of it is read again: where it says anything else than one entry more, or one otherwise, it is refused.

Spec: docs/spec/policy-lifecycle.md, "Classification".
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import yaml

from middleplatform.errors import ConfigError
from middleplatform.governance.line_ends import only_windows, windows
from middleplatform.policy.written import said

__all__ = ["classified"]

Rule = Mapping[str, object]

_NEW = "classified.yaml"
_BESIDE = ("personas.yaml", "regulation.yaml")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_STEP = 2
_UNPRINTED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


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
        ConfigError: C001 a file is not YAML, or is written so that this entry cannot be changed alone.
    """
    name, made = _classified(files, dataset, column, rule, purposes)
    before = files.get(name, "")
    made = windows(made) if only_windows(before) else made
    _check(name, before, made, (dataset, column, rule, purposes))
    return {**files, name: made}


def _classified(
    files: Mapping[str, str], dataset: str, column: str, rule: Rule, purposes: Sequence[str]
) -> tuple[str, str]:
    """Return the file that changes and its new text; new lines end as they do under Unix."""
    written = _flow(rule)
    at: tuple[str, yaml.MappingNode] | None = None
    for name, text in files.items():
        if name in _BESIDE or name.endswith(("_test.yaml", "_test.yml")):
            continue
        datasets = _child(_parsed(name, text), "datasets")
        if not isinstance(datasets, yaml.MappingNode):
            continue
        found = _child(datasets, dataset)
        if found is not None:
            return name, _in_dataset(name, text, found, (dataset, column), written)
        if at is None and not datasets.flow_style and datasets.value:
            at = name, datasets
    if at is None:
        fresh = "datasets:\n" + _begun(_STEP, dataset, purposes, column, written)
        return _free(files), fresh
    name, datasets = at
    indent = datasets.value[0][0].start_mark.column
    begun = _begun(indent, dataset, purposes, column, written)
    return name, _after(files[name], _end(files[name], datasets), "\n" + begun)


def _in_dataset(
    name: str, text: str, dataset: yaml.Node, named: tuple[str, str], written: str
) -> str:
    column, columns = named[1], _child(dataset, "columns")
    if not isinstance(columns, yaml.MappingNode):
        raise _refused(name, *named)
    there = _pair(columns, column)
    if there is not None:
        key, value = there
        return text[: key.end_mark.index] + f": {written}" + text[_end(text, value) :]
    if columns.flow_style or not columns.value:
        inside = columns.end_mark.index - 1
        more = columns.value and not text[:inside].rstrip().endswith(",")
        comma = (", " if more else " ") if columns.value else ""
        return text[:inside] + f"{comma}{column}: {written}" + text[inside:]
    indent = " " * columns.value[0][0].start_mark.column
    return _after(text, _end(text, columns), f"{indent}{column}: {written}\n")


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


def _end(text: str, node: yaml.Node) -> int:
    """Return where a node's own text ends; the parser's mark of a block lies behind the lines after it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return _end(text, node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _end(text, node.value[-1])
    end = int(node.end_mark.index)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return len(text[:end].rstrip())
    return end


def _check(name: str, before: str, made: str, asked: tuple[str, str, Rule, Sequence[str]]) -> None:
    """Refuse a text that says anything else than it said before, with the one entry.

    Raises:
        ConfigError: C001.
    """
    dataset, column, rule, purposes = asked
    try:
        found, stood = said(name, made), cast("Any", said(name, before)) or {}
        datasets = stood.get("datasets", {})
        begun = datasets.get(dataset, {"purposes": list(purposes), "columns": {}})
        columns = begun["columns"] | {column: _exact(rule)}
        wanted = stood | {"datasets": datasets | {dataset: begun | {"columns": columns}}}
    except (ConfigError, AttributeError, KeyError, TypeError):
        raise _refused(name, dataset, column) from None
    if found != wanted:
        raise _refused(name, dataset, column)


def _exact(rule: Rule) -> object:
    """Return a rule as it reads once it is written."""
    return json.loads(json.dumps(dict(rule)), parse_float=Decimal)


def _refused(name: str, dataset: str, column: str) -> ConfigError:
    what = (
        (
            f"{name} is written so that {dataset}.{column} cannot be changed alone (anchors, aliases or another"
            " unusual form): change it in the file"
        ),
        f"{name} 的写法（锚点、别名或其他特殊形式）使 {dataset}.{column} 无法单独修改：请直接修改该文件",
    )
    return ConfigError("C001", what=what)


def _invalid(name: str) -> ConfigError:
    return ConfigError("C001", what=(f"{name} is not valid YAML", f"{name} 不是有效的 YAML"))


def _pair(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    found = _pair(node, key) if isinstance(node, yaml.MappingNode) else None
    return None if found is None else found[1]


def _parsed(name: str, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise _invalid(name) from None
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
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTED.sub(lambda each: f"\\u{ord(each[0]):04x}", text)
