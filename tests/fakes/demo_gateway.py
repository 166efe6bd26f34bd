"""A gateway of the demonstration's policy that asks nobody: it explains and advises."""

from datetime import UTC, datetime
from functools import cache

from steady import SeededRng

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.gateway import Gateway
from middleplatform.policy.examples import example


class _June:
    def now(self):
        return datetime(2026, 6, 1, tzinfo=UTC)


@cache
def demo_gateway():
    """Return the gateway, in June 2026."""
    catalog = catalogs.load(example("demo") / "catalog")
    bundle = policies.load(example("demo"), catalog)
    return Gateway(catalog, bundle, None, Dispatcher({}, None, None), None, _June(), SeededRng())
