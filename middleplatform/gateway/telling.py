"""What the gateway says of a question without asking it: nothing is run, no department is asked, nothing is logged."""

from abc import ABC, abstractmethod
from typing import Self

from middleplatform.authorization.templates import prepare
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.errors import MiddleplatformError
from middleplatform.gateway.advice import advice
from middleplatform.gateway.explain import explanation
from middleplatform.gateway.sealed_explain import sealed_explanation
from middleplatform.model.advice import Advice
from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Decision
from middleplatform.model.plan import Plan
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QualifiedQuery
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Explanation

__all__ = ["Telling"]


class Telling(ABC):
    """Explains and advises by the very stages that a question passes.

    Attributes:
        catalog: What exists.
        bundle: What may be done with it.
        dispatcher: Knows who holds keys.
    """

    catalog: Catalog
    bundle: Bundle
    dispatcher: Dispatcher

    @abstractmethod
    def _pinned(self) -> Self:
        """Return a copy that keeps what is in force at this moment."""

    @abstractmethod
    def _judge(self, request: QueryRequest) -> tuple[QualifiedQuery, Decision]:
        """Parse, qualify and authorize."""

    @abstractmethod
    def _made(self, request: QueryRequest, query: QualifiedQuery, decision: Decision) -> Plan:
        """Plan."""

    def explain(self, request: QueryRequest) -> Explanation:
        """Say what would happen to a query; nothing is run and no department is asked."""
        return self._pinned()._explained(request)  # noqa: SLF001 - its own copy

    def advise(self, request: QueryRequest) -> Advice:
        """Explain a query and, where it is refused, name the nearest form that would pass; nothing is run."""
        pinned = self._pinned()
        told = pinned._explained(request)  # noqa: SLF001 - its own copy
        return advice(request, told, pinned._refusal, pinned.catalog, pinned.bundle)  # noqa: SLF001 - the same

    def rules(self) -> Bundle:
        """Return the policy with the grants of this moment."""
        return self._pinned().bundle

    def read_ahead(self) -> None:
        """Read what the policy's approved templates say, before a question has to wait for it."""
        prepare(self.bundle, self.catalog)

    def _explained(self, request: QueryRequest) -> Explanation:
        try:
            query, decision = self._judge(request)
            plan = self._made(request, query, decision)
        except MiddleplatformError as error:
            return explanation(request, error, self.catalog, self.bundle)
        judged, holder = (query, decision, plan), self.dispatcher.key_holder
        told = explanation(request, judged, self.catalog, self.bundle, holder)
        return sealed_explanation(told, request)

    def _refusal(self, request: QueryRequest) -> MiddleplatformError | None:
        try:
            self._made(request, *self._judge(request))
        except MiddleplatformError as error:
            return error
        return None
