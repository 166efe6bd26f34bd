"""What a person is told while typing: every reason of a refusal, and the nearest form that would pass."""

from dataclasses import dataclass

from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Explanation

__all__ = ["Advice", "Form"]


@dataclass(frozen=True, slots=True)
class Form:
    """A question near one that was refused; it was judged, and passes as things stand.

    Attributes:
        request: The question: statement, purpose, project, recipient and options, whichever were changed.
        changes: (English, Chinese): what was changed, in order.
    """

    request: QueryRequest
    changes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """An explanation with its places, and what to do about a refusal.

    Attributes:
        explanation: As ``explain`` gives it; every reason that has a place in the statement names it.
        form: None for a question that passes, and where nothing near was found.
    """

    explanation: Explanation
    form: Form | None = None
