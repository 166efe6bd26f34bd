"""Ask a whole platform in this process and tell what came of it."""

import asyncio
from dataclasses import dataclass, replace

from steady import FixedClock, SeededRng

from middleplatform.demo.runtime import open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.settings import Settings

ANALYST = suite.personas(example("cases") / "personas.yaml")["analyst"]
COLLEAGUE = replace(ANALYST, id="analyst B")


@dataclass(frozen=True)
class Outcome:
    """What came of a question: an answer, or the error's code and rule."""

    answer: object = None
    code: str = ""
    rule: str = ""
    message: str = ""

    @property
    def refused(self):
        return self.answer is None

    @property
    def rows(self):
        return [] if self.answer is None else self.answer.release.table.to_pylist()

    @property
    def marks(self):
        return [] if self.answer is None else self.answer.release.marks.to_pylist()

    @property
    def withheld(self):
        """Return how many values were withheld, those included that HAVING or LIMIT dropped."""
        if self.answer is None:
            return 0
        release = self.answer.release
        shown = sum(mark is not None for row in self.marks for mark in row.values())
        return max(shown, sum(each.cells for each in release.withheld))

    @property
    def released(self):
        """Return how many values stand in the answer."""
        return sum(value is not None for row in self.rows for value in row.values())


def opened(folder, data, catalog=None, bundle=None, clock=None, rng=None):
    """Open a platform whose state lies in ``folder``, over the databases in ``data``."""
    settings = Settings(
        state=folder,
        data=data,
        catalog=catalog,
        bundle=bundle,
        threads=1,
        memory_mb=512,
        deadline_s=120,
    )
    return open_platform(settings, clock=clock or FixedClock(), rng=rng or SeededRng())


def ask(platform, sql, subject=ANALYST, purpose="statistics", **more):
    gateway = platform.gateway
    try:
        answer = asyncio.run(gateway.submit(gateway.request(sql, subject, purpose, **more)))
    except MiddleplatformError as error:
        return Outcome(code=error.code, rule=error.rule, message=error.public_message)
    return Outcome(answer)
