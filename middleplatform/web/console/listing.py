"""Long lists: filtered, cut into pages, and linked to by the address of the page alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request

__all__ = ["SIZE", "Listing", "listed", "number_of"]

SIZE = 25
_WORDS_MAX = 200
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """One page of a list.

    Attributes:
        items: Of this page.
        total: Of all pages.
        number: Of this page, from 1.
        size: Items a page.
        words: What the list is filtered by; empty for all.
    """

    items: Sequence[T]
    total: int
    number: int = 1
    size: int = SIZE
    words: str = ""

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """Number of this page's first item, from 1; 0 of an empty page."""
        return (self.number - 1) * self.size + 1 if self.items else 0

    @property
    def last(self) -> int:
        """Number of this page's last item."""
        return (self.number - 1) * self.size + len(self.items) if self.items else 0

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


def listed(
    request: Request,
    items: Sequence[T],
    words_of: Callable[[T], str] | None = None,
    size: int = SIZE,
) -> Listing[T]:
    """Return the page of ``items`` that ``?page=`` and ``?q=`` ask for.

    Args:
        request: The page's.
        items: All of them, in their order.
        words_of: Returns an item's text; an item stays when it has every word of ``?q=``.
        size: Items a page.
    """
    asked = request.query_params.get("q", "")[:_WORDS_MAX].strip()
    if words_of is not None and asked:
        wanted = asked.casefold().split()
        items = [each for each in items if _has(words_of(each).casefold(), wanted)]
    pages = max(1, -(-len(items) // size))
    number = min(number_of(request), pages)
    start = (number - 1) * size
    return Listing(items[start : start + size], len(items), number, size, asked)


def number_of(request: Request) -> int:
    """Return the page that ``?page=`` asks for, from 1; 1 for what is no number."""
    asked = request.query_params.get("page", "1")[:9]
    return max(1, int(asked)) if asked.isascii() and asked.isdigit() else 1


def _has(text: str, words: Sequence[str]) -> bool:
    return all(word in text for word in words)
