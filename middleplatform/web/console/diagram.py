"""``explain`` as a picture: who takes part, what runs where, what crosses the wire, what each party learns.

Scalable Vector Graphics made on the server, without any style or script, so that a strict content security policy lets
it pass; colors are the page's own (``currentColor``). Everything that the picture shows stands beside it as lists,
which ``outline`` gives: the picture itself is for the eye alone.

Source: SVG 2, W3C; WAI-ARIA Graphics Module for roles.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from middleplatform.model.catalog import Catalog
from middleplatform.model.result import Explanation, Flow

__all__ = ["Crossing", "Outline", "Party", "outline", "picture", "size_text"]

_WIDTH: Final = 1050
_BOX: Final = {"analyst": (10, 150), "gateway": (310, 220), "right": (780, 260)}
"""Left edge and width of each lane, in user units."""
_CLOSING: Final = frozenset("，。；、：）》」』！？")
"""No line begins with these."""
_LINE, _PAD, _GAP, _TOP = 17, 12, 26, 20
_WORDS_A_BOX = 3
_KIB = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

_FIRST = frozenset({"parse", "qualify", "authorize"})
_NAMES = {
    "analyst": ("You, the analyst", "您（分析员）"),
    "gateway": ("The gateway", "网关"),
    "keyholder": ("The key holder", "密钥持有方"),
    "recipient": ("The recipient's machine", "接收人的机器"),
}


@dataclass(frozen=True, slots=True)
class Party:
    """One who takes part.

    Attributes:
        code: ``analyst``, ``gateway``, ``recipient`` or a party's code.
        name: In the reader's language.
        runs: What it does, in order.
        learns: What it learns by it.
    """

    code: str
    name: str
    runs: tuple[str, ...]
    learns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Crossing:
    """What one party sends another.

    Attributes:
        number: From 1, as the picture shows it.
        sender: Code.
        receiver: Code.
        sender_name: In the reader's language.
        receiver_name: The same.
        what: Kind of content.
        size: At most about so much; a word where nobody knows.
    """

    number: int
    sender: str
    receiver: str
    sender_name: str
    receiver_name: str
    what: str
    size: str


@dataclass(frozen=True, slots=True)
class Outline:
    """The whole of a picture, as lists.

    Attributes:
        parties: Analyst and gateway first.
        crossings: In order.
    """

    parties: tuple[Party, ...]
    crossings: tuple[Crossing, ...]


def outline(found: Explanation, catalog: Catalog, locale: str) -> Outline:
    """Return what the picture of an explanation shows.

    Args:
        found: Of a question that would be answered.
        catalog: For departments' names.
        locale: ``"en"`` or ``"zh"``.
    """
    place = 1 if locale == "zh" else 0
    named = [each for step in found.steps for each in _codes(step.party)]
    sent = [each for flow in found.flows for each in (flow.sender, flow.receiver)]
    codes = dict.fromkeys(["analyst", "gateway", *sent, *named])
    parties = tuple(_party(code, found, catalog, place) for code in codes)
    names = {each.code: each.name for each in parties}
    crossings = tuple(
        Crossing(
            number, flow.sender, flow.receiver, names[flow.sender], names[flow.receiver],
            flow.what[place], _size(flow, place),
        )
        for number, flow in enumerate(found.flows, start=1)
    )  # fmt: skip
    return Outline(parties, crossings)


def size_text(count: int) -> str:
    """Return a number of bytes as people read it, rounded up: ``"12 KiB"``."""
    unit, size = 0, count
    while size >= _KIB and unit < len(_UNITS) - 1:
        unit, size = unit + 1, -(-size // _KIB)
    return f"{size} {_UNITS[unit]}"


def _size(flow: Flow, place: int) -> str:
    if flow.bytes_max is None:
        return ("size not known", "大小未知")[place]
    return ("at most about ", "至多约 ")[place] + size_text(flow.bytes_max)


def _codes(party: str) -> list[str]:
    return [each.strip() for each in party.split(",") if each.strip()]


def _party(code: str, found: Explanation, catalog: Catalog, place: int) -> Party:
    own = [step for step in found.steps if code in _codes(step.party)]
    own.sort(
        key=lambda step: step.stage in _FIRST
    )  # what is the same for every question comes last
    runs = tuple(dict.fromkeys(step.what[place] for step in own))
    learns = tuple(dict.fromkeys(step.learns[place] for step in own if step.learns[place]))
    return Party(code, _name(code, catalog, place), runs, learns)


def _name(code: str, catalog: Catalog, place: int) -> str:
    if code in _NAMES:
        return _NAMES[code][place]
    department = catalog.departments.get(code)
    if department is None:
        return code
    return department.name_zh if place else department.name_en


_FORWARD = Markup('marker-end="url(#picture-tip)"')
_BACK = Markup('marker-start="url(#picture-tip)"')


# --- the drawing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Box:
    party: Party
    left: int
    top: int
    width: int
    lines: tuple[tuple[str, str], ...]
    height_min: int = 0

    @property
    def height(self) -> int:
        return max(self.height_min, len(self.lines) * _LINE + 2 * _PAD)

    @property
    def middle(self) -> int:
        return self.top + self.height // 2

    @property
    def right(self) -> int:
        return self.left + self.width


def picture(found: Outline, title: str, locale: str) -> Markup:
    """Return the drawing as an ``<svg>`` element.

    Args:
        found: What it shows.
        title: Its name, for those who hear it.
        locale: ``"en"`` or ``"zh"``.
    """
    boxes, height = _boxes(found, locale)
    told = _described(found, locale)
    parts = [_arrows(found, boxes), *map(_drawn, boxes.values())]
    return Markup(
        '<svg class="picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        ' height="{height}" role="img" aria-labelledby="picture-title picture-text">'
        '<title id="picture-title">{title}</title><desc id="picture-text">{told}</desc>'
        '<defs><marker id="picture-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>'
        "{parts}</svg>"
    ).format(width=_WIDTH, height=height, title=title, told=told, parts=Markup("").join(parts))


def _described(found: Outline, locale: str) -> str:
    names = [each.name for each in found.parties]
    if locale == "zh":
        return f"参与方：{'、'.join(names)}。共 {len(found.crossings)} 次传输，详见下方列表。"
    return (
        f"Parties: {', '.join(names)}. {len(found.crossings)} transfers, listed below the picture."
    )


def _boxes(found: Outline, locale: str) -> tuple[dict[str, _Box], int]:
    left = {each.code for each in found.parties} & {"analyst", "gateway"}
    right = [each for each in found.parties if each.code not in left]
    boxes: dict[str, _Box] = {}
    top = _TOP
    for each in right:
        boxes[each.code] = box = _box(each, "right", top, locale)
        top += max(box.height, 2 * _LINE * _count(found, each.code)) + _GAP
    for each in found.parties:
        if each.code in left:
            tall = top - _GAP - _TOP if right else 0
            boxes[each.code] = replace(_box(each, each.code, _TOP, locale), height_min=tall)
    height = max(box.top + box.height for box in boxes.values())
    return boxes, max(height, top - _GAP) + _TOP


def _count(found: Outline, code: str) -> int:
    return sum(code in (each.sender, each.receiver) for each in found.crossings)


def _box(party: Party, lane: str, top: int, locale: str) -> _Box:
    left, width = _BOX[lane]
    cells = (width - 2 * _PAD) // 7
    lines = [("name", text) for text in _wrapped(party.name, cells - 4, 2)]
    for text in party.runs[:2]:
        lines += [("runs", part) for part in _wrapped(text, cells, _WORDS_A_BOX)]
    for text in party.learns[:1]:
        told = ("获知：" if locale == "zh" else "learns: ") + text
        lines += [("learns", part) for part in _wrapped(told, cells, _WORDS_A_BOX)]
    return _Box(party, left, top, width, tuple(lines))


def _drawn(box: _Box) -> Markup:
    lines = [
        Markup('<text x="{}" y="{}" class="{}" font-size="{}">{}</text>').format(
            box.left + _PAD, box.top + _PAD + 12 + number * _LINE, kind,
            14 if kind == "name" else 12, text,
        )
        for number, (kind, text) in enumerate(box.lines)
    ]  # fmt: skip
    return Markup(
        '<g class="party"><rect x="{}" y="{}" width="{}" height="{}" rx="6" fill="none" stroke="currentColor"/>{}</g>'
    ).format(box.left, box.top, box.width, box.height, Markup("").join(lines))


def _arrows(found: Outline, boxes: dict[str, _Box]) -> Markup:
    done: dict[frozenset[str], int] = {}
    drawn = []
    for each in found.crossings:
        ends = frozenset((each.sender, each.receiver))
        place = done.get(ends, 0)
        done[ends] = place + 1
        total = sum(ends == {other.sender, other.receiver} for other in found.crossings)
        drawn.append(_arrow(each, boxes, place, total))
    return Markup("").join(drawn)


def _arrow(each: Crossing, boxes: dict[str, _Box], place: int, total: int) -> Markup:
    """Return a level arrow between two lanes, at the height of the outer box, numbered and named."""
    one, two = boxes[each.sender], boxes[each.receiver]
    first, second = (one, two) if one.left < two.left else (two, one)
    outer = one if two.party.code == "gateway" else two
    step = 2 * _LINE
    y = outer.middle - (total - 1) * step // 2 + place * step
    start, end = first.right + 4, second.left - 4
    tip = _FORWARD if one is first else _BACK
    words = _wrapped(f"{each.number}  {each.what}", (end - start) // 6, 1)[0]
    return Markup(
        '<g class="flow"><line x1="{}" y1="{}" x2="{}" y2="{}" stroke="currentColor" {}/>'
        '<text x="{}" y="{}" font-size="11" text-anchor="middle">{}</text></g>'
    ).format(start, y, end, y, tip, (start + end) // 2, y - 5, words)


def _wrapped(text: str, cells: int, most: int) -> list[str]:
    """Return at most ``most`` lines of at most ``cells`` narrow letters; the last ends in an ellipsis if cut."""
    lines, line, used = [], "", 0
    for word in _words(text):
        size = _cells(word)
        if used + size > cells and line.strip():
            lines.append(line.strip())
            line, used = "", 0
        line, used = line + word, used + size
    lines.append(line.strip())
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + "…"]
    return [each for each in lines if each] or [""]


def _words(text: str) -> Iterable[str]:
    """Yield the parts between which a line may end: words with the space after them, and each wide letter."""
    word = ""
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in "WF"
        if letter not in _CLOSING and word and (wide or _ended(word)):
            yield word
            word = ""
        word += letter
    if word:
        yield word


def _ended(word: str) -> bool:
    return word[-1] == " " or unicodedata.east_asian_width(word[-1]) in "WF"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
