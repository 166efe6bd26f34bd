"""Another policy may come into force at any time; a question ends under the one that it began under."""

from dataclasses import replace

import pytest

from middleplatform.errors import ConfigError, PolicyError

SQL = "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex"


class Swapping:
    """A department during whose answer another policy comes into force."""

    department = "ga"

    def __init__(self, platform, bundle):
        self.link, self.platform, self.bundle = platform.links["ga"], platform, bundle

    async def answer(self, *given):
        found = await self.link.answer(*given)
        self.platform.gateway.bundle = self.bundle
        return found


def denying(bundle):
    """Return another policy, under which nothing may be asked."""
    return replace(bundle, datasets={}, digest="d" * 64)


def test_a_question_ends_under_the_policy_that_it_began_under(platform):
    old, new = platform.bundle, denying(platform.bundle)
    platform.use_link(Swapping(platform, new))
    answer = platform.ask(SQL)
    assert answer.release.table.num_rows
    assert answer.decision.bundle_digest == old.digest
    with pytest.raises(PolicyError):
        platform.ask(SQL)
    ends = [
        (event, body["policy_digest"]) for event, body in platform.entries() if event != "received"
    ]
    assert ends == [("released", old.digest), ("refused", new.digest)]


def test_a_question_that_fails_is_entered_under_its_own_policy_too(platform):
    class Failing(Swapping):
        async def answer(self, *given):
            await super().answer(*given)
            raise RuntimeError

    platform.use_link(Failing(platform, denying(platform.bundle)))
    with pytest.raises(ConfigError):
        platform.ask(SQL)
    assert platform.entries()[-1][1]["policy_digest"] == platform.bundle.digest
