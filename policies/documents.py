"""Read YAML strictly, remember the place of every value, and hash the canonical form.

A policy that two parsers read differently is no policy. So of YAML only this is taken: mappings
with unique keys, sequences, and the scalars of JSON. Numbers are exact (``int`` or ``Decimal``), a
date stays text, ``no`` is the text "no", a key is always text; tags, anchors and aliases are
refused. Imports nothing of the platform.

Spec: docs/spec/policy-bundle.md, "Files" and "Canonical form".
"""

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from decimal import Decimal
from threading import Lock

import yaml

__all__ = ["Document", "Path", "Problem", "canonical", "digest", "place", "read"]

Path = tuple[str | int, ...]

_BYTES_MAX = 4_000_000
_DEPTH_MAX = 24
_NODES_MAX = 200_000
"""Of one document: a place is remembered for each, so memory is a matter of these and not of bytes."""
_KEPT = 64  # a bundle and a catalog have a dozen or two
_KEPT_NODES = 400_000
"""Of all documents that are kept; drafts that are being typed come and go."""
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_NUMBER = re.compile(r"[-+]?[0-9]+\.[0-9]+\Z")
_WORDS: Mapping[str, object] = {"": None, "~": None, "null": None, "true": True, "false": False}
_DIGITS_MAX = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document.

    Attributes:
        file: File name as given.
        line: From 1; 0 where unknown.
        column: From 1; 0 where unknown.
        where: Dotted path to the value at fault, e.g. ``"ga.population / sex / level"``, or empty.
        what: (English, Chinese) sentence.
    """

    file: str
    line: int
    column: int
    where: str
    what: tuple[str, str]

    def text(self, locale: str) -> str:
        """Return ``file:line:column: where: what`` in ``locale`` (``"en"`` or ``"zh"``)."""
        spot = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = (spot, self.where, self.what[1] if locale == "zh" else self.what[0])
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file.

    Attributes:
        name: File name.
        value: JSON-like value; ``None`` for an empty file.
        places: (line, column) by path, both from 1; of a mapping entry, its key's.
    """

    name: str
    value: object
    places: Mapping[Path, tuple[int, int]] = field(default_factory=dict)


class _RefusedError(Exception):
    def __init__(self, mark: yaml.Mark, what: tuple[str, str]) -> None:
        super().__init__(what[0])
        self.mark, self.what = mark, what


class _Loader(yaml.SafeLoader):
    """Composes nodes only; nothing is ever constructed by tag."""

    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # untyped in its stubs
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _RefusedError(
                event.start_mark, ("anchors and aliases are not taken", "不接受锚点和别名")
            )
        if getattr(event, "tag", None) is not None:
            raise _RefusedError(event.start_mark, ("tags are not taken", "不接受标签"))
        if self.depth >= _DEPTH_MAX:
            raise _RefusedError(
                event.start_mark,
                (f"nested deeper than {_DEPTH_MAX} levels", f"嵌套超过 {_DEPTH_MAX} 层"),
            )
        if self.nodes >= _NODES_MAX:
            raise _RefusedError(
                event.start_mark,
                (f"more than {_NODES_MAX} values in one file", f"单个文件超过 {_NODES_MAX} 个值"),
            )
        self.depth, self.nodes = self.depth + 1, self.nodes + 1
        try:
            return super().compose_node(parent, index)  # type: ignore[arg-type]  # as handed in
        finally:
            self.depth -= 1


def read(name: str, text: str | bytes) -> tuple[Document, tuple[Problem, ...]]:
    """Parse ``text`` as one strict YAML document.

    A text that was read lately is not parsed again; every caller gets a value of its own.

    Args:
        name: File name, for the problems.
        text: At most 4 MB; bytes must be UTF-8.

    Returns:
        The document, and what is wrong with it; a document with problems has the value ``None``
        unless only duplicate keys are wrong.
    """
    document, problems = _lately.of(name, text)
    return replace(document, value=deepcopy(document.value)), problems


_Read = tuple[Document, tuple[Problem, ...]]


class _Lately:
    """What was read lately: so many documents, and so many values in all of them; many threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str | bytes], _Read] = OrderedDict()
        self._nodes = 0

    def of(self, name: str, text: str | bytes) -> _Read:
        with self._lock:
            if (name, text) in self._kept:
                self._kept.move_to_end((name, text))
                return self._kept[name, text]
        found = _read(name, text)
        with self._lock:
            self._keep((name, text), found)
        return found

    def _keep(self, key: tuple[str, str | bytes], found: _Read) -> None:
        gone = self._kept.pop(key, None)
        self._nodes += _weight(key, found) - (_weight(key, gone) if gone else 0)
        self._kept[key] = found
        while len(self._kept) > 1 and (len(self._kept) > _KEPT or self._nodes > _KEPT_NODES):
            self._nodes -= _weight(*self._kept.popitem(last=False))


def _weight(key: tuple[str, str | bytes], found: _Read) -> int:
    """Return how many values a document counts for; a long text that says little counts too."""
    document, problems = found
    return len(document.places) + len(problems) + len(key[1]) // 100 + 1


_lately = _Lately()


def _read(name: str, text: str | bytes) -> tuple[Document, tuple[Problem, ...]]:
    loader = None
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        if len(decoded) > _BYTES_MAX:
            return _refused(name, ("the file is longer than 4 MB", "文件超过 4 MB"))
        loader = _Loader(decoded)
        node = loader.get_single_node()
        return _build(name, node)
    except UnicodeDecodeError:
        return _refused(name, ("the file is not UTF-8", "文件不是 UTF-8 编码"))
    except _RefusedError as error:
        return _refused(name, error.what, error.mark)
    except yaml.MarkedYAMLError as error:
        said = " ".join(part for part in (error.context, error.problem) if part)
        return _refused(
            name, (f"not valid YAML: {said}", f"YAML 语法错误：{said}"), error.problem_mark
        )
    except yaml.YAMLError:
        return _refused(name, ("not valid YAML: a character is not allowed", "YAML 含有非法字符"))
    finally:
        if loader is not None:
            loader.dispose()


def _refused(
    name: str, what: tuple[str, str], mark: yaml.Mark | None = None
) -> tuple[Document, tuple[Problem, ...]]:
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Document(name, None), (Problem(name, line, column, "", what),)


def _build(name: str, node: yaml.Node | None) -> tuple[Document, tuple[Problem, ...]]:
    places: dict[Path, tuple[int, int]] = {}
    problems: list[Problem] = []
    value = None if node is None else _value(node, (), places, name, problems)
    return Document(name, value, places), tuple(problems)


def _value(
    node: yaml.Node,
    path: Path,
    places: dict[Path, tuple[int, int]],
    name: str,
    problems: list[Problem],
) -> object:
    places.setdefault(path, _spot(node))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, object] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _RefusedError(
                    key.start_mark, ("a key must be a plain word", "键必须是单个词")
                )
            _refuse_surrogates(key, key.value)
            if key.value in result:
                what = (f"the key {key.value} is given twice", f"键 {key.value} 重复")
                problems.append(Problem(name, *_spot(key), " / ".join(map(str, path)), what))
            places[(*path, key.value)] = _spot(key)
            result[key.value] = _value(child, (*path, key.value), places, name, problems)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(child, (*path, index), places, name, problems)
            for index, child in enumerate(node.value)
        ]
    return _scalar(node)


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    _refuse_surrogates(node, text)
    if getattr(node, "style", None) is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _DIGITS_MAX and _INTEGER.match(text):
        return int(text)
    if len(text) <= _DIGITS_MAX and _NUMBER.match(text):
        return Decimal(text)
    return text


def _refuse_surrogates(node: yaml.Node, text: str) -> None:
    """Half a character, written as an escape, is no text: it could not be hashed."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        what = ("a character is not allowed", "含有非法字符")
        raise _RefusedError(node.start_mark, what)


def _spot(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def place(document: Document, path: Path) -> tuple[int, int]:
    """Return (line, column) of ``path``, or of its nearest ancestor that stands in the file."""
    for length in range(len(path), -1, -1):
        if path[:length] in document.places:
            return document.places[path[:length]]
    return (0, 0)


def canonical(value: object) -> bytes:
    """Return the canonical JSON of ``value``: UTF-8, keys sorted by code point, no white space.

    Numbers are written in plain decimal notation without an exponent or trailing zeros.

    Raises:
        TypeError: ``value`` holds something that is not JSON, a float included.
    """
    return "".join(_encode(value)).encode("utf-8")


def _encode(value: object) -> Iterator[str]:
    if value is None or isinstance(value, bool | int | str):
        yield json.dumps(value, ensure_ascii=False)
    elif isinstance(value, Decimal):
        yield format(value.normalize(), "f")
    elif isinstance(value, Mapping):
        yield "{"
        for index, key in enumerate(sorted(value)):
            yield ("," if index else "") + json.dumps(key, ensure_ascii=False) + ":"
            yield from _encode(value[key])
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for index, item in enumerate(value):
            yield "," if index else ""
            yield from _encode(item)
        yield "]"
    else:
        raise TypeError(f"not JSON: {type(value).__name__}")


def digest(value: object) -> str:
    """Return the SHA-256 of ``canonical(value)``, hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()
