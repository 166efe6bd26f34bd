"""What an attacker has: a statement goes in, rows and marks or a refusal come out. Any analyst has the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from middleplatform.attack.sandbox import PURPOSE
from middleplatform.client.rest import Client, Refused
from middleplatform.errors import MiddleplatformError

__all__ = ["ENDLESS", "Ask", "Seen", "Surface", "rest"]

ENDLESS = 1_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """All that an analyst sees of a question.

    Attributes:
        rows: Labels and values as they came; None for a withheld or missing one.
        code: Of the refusal; empty where it was answered.
        marks: (row, column, reason) of withheld values.
        withheld: Values withheld, those of rows that are not shown included.
        seconds: From asking to having it.
    """

    rows: tuple[tuple[Any, ...], ...] = ()
    code: str = ""
    marks: tuple[tuple[int, int, str], ...] = ()
    withheld: int = 0
    seconds: float = 0.0


class Ask(Protocol):
    """One analyst's way in."""

    def __call__(self, sql: str, project: str) -> Mapping[str, Any]:
        """Return the answer document of the REST interface.

        Raises:
            Refused: Over REST.
            MiddleplatformError: In this process.
        """
        ...


@dataclass
class Surface:
    """Asks for one attack, and counts.

    Attributes:
        analysts: Ways in, one for each analyst who colludes; at least one.
        project: Which all of them work in.
        patience: Batches in a row that told nothing, after which the attacker asks no more of that kind.
        asked: Questions so far.
        refused: Of them, by code.
        withheld: Values that were withheld.
    """

    analysts: Sequence[Ask]
    project: str
    patience: int = ENDLESS
    asked: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    withheld: int = 0

    def ask(self, sql: str, analyst: int = 0) -> Seen:
        """Ask one question.

        Args:
            sql: The statement.
            analyst: Which of them asks; counted modulo their number.
        """
        self.asked += 1
        began = perf_counter()
        try:
            found = self.analysts[analyst % len(self.analysts)](sql, self.project)
        except Refused as error:
            return self._refusal(error.code, perf_counter() - began)
        except MiddleplatformError as error:
            return self._refusal(error.code, perf_counter() - began)
        took = perf_counter() - began
        hidden = sum(int(each["cells"]) for each in found["withheld"])
        self.withheld += hidden
        marks = tuple((each["row"], each["column"], each["reason"]) for each in found["suppressed"])
        return Seen(tuple(map(tuple, found["rows"])), "", marks, hidden, took)

    def _refusal(self, code: str, seconds: float) -> Seen:
        self.refused[code] = self.refused.get(code, 0) + 1
        return Seen(code=code, seconds=seconds)

    def table(
        self, sql: str, labels: int, analyst: int = 0
    ) -> dict[tuple[str, ...], list[float | None]]:
        """Ask, and return values by labels.

        Args:
            sql: The statement; its first columns are labels.
            labels: How many.
            analyst: As ``ask``.
        """
        return {
            tuple(str(each) for each in row[:labels]): [_number(each) for each in row[labels:]]
            for row in self.ask(sql, analyst).rows
        }

    def values(self, sql: str, analyst: int = 0) -> list[float | None]:
        """Ask for one row, and return its values; none where it was refused."""
        rows = self.ask(sql, analyst).rows
        return [_number(each) for each in rows[0]] if rows else []


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))


def rest(client: Client) -> Ask:
    """Return the way in over REST."""

    def ask(sql: str, project: str) -> Mapping[str, Any]:
        return client.ask(sql, PURPOSE, project=project)

    return ask
