"""A gateway over the made departments of ``made_join``, whose links may be replaced one by one."""

from dataclasses import replace

import made_join
import made_world as made
from made_platform import SeededRng

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.dispatch.link import InProcessLink
from middleplatform.gateway.gateway import Gateway
from middleplatform.ledger.history import History
from middleplatform.node.secure_round import SecureRounds
from middleplatform.node.service import GATEWAY, KEY_HOLDER


class Joined:
    """Departments, a key holder and a gateway in one process; real keys, masks, receipts and logs."""

    def __init__(self, folder, bundle=None, held=None, *, key_holder=True, deadline_s=30):
        self.parties = made_join.Parties(folder, bundle or made_join.bundle(), held)
        self.links = {
            name: InProcessLink(node, SecureRounds(node), deadline_s, self.parties.rounds[name])
            for name, node in self.parties.nodes.items()
            if key_holder or name != KEY_HOLDER
        }
        signer = CheckpointSigner.create(folder / "log.key", "audit.example/made", SeededRng("log"))
        self.audit = AuditLog.open(folder / "audit.db", signer, self.parties.clock)
        self.gateway = Gateway(
            made_join.CATALOG, self.parties.bundle, self.audit, None, History(None), self.parties.clock, SeededRng("ids")
        )  # fmt: skip
        self.use()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.close()
        self.audit.close()
        self.parties.__exit__()

    def use(self, **links):
        """Put ``links`` in the place of those departments'; the others are as they were made."""
        named = {**self.links, **links}
        known = {name: link for name, link in named.items() if link is not None}
        self.parties.know(key_holder=KEY_HOLDER in known)
        keys = self.parties.keys
        self.gateway.dispatcher = Dispatcher(known, keys[GATEWAY], self.parties.pins)

    def ask(self, sql, progress=None):
        request = self.gateway.request(sql, made.ANALYST, "statistics")
        return made.wait(self.gateway.submit(request, progress))

    def explain(self, sql):
        return self.gateway.explain(self.gateway.request(sql, made.ANALYST, "statistics"))

    def under_way(self):
        """Return how many rounds all parties still hold."""
        return sum(len(rounds) for rounds in self.parties.rounds.values())


def rows(answer):
    """Return the answer's rows, sorted, and its marks in the same order."""
    table = answer.release.table
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


class Changed:
    """A link whose one call is another one."""

    def __init__(self, link, name, change):
        self.link, self.name, self.change, self.department = link, name, change, link.department

    def __getattr__(self, called):
        real = getattr(self.link, called)
        if called != self.name:
            return real

        async def other(*arguments):
            return await self.change(real, *arguments)

        return other


def with_least(least):
    """Return a bundle whose threshold is another one everywhere."""
    told = made_join.bundle()
    datasets = {
        name: replace(rule, disclosure=replace(rule.disclosure, min_units=least))
        for name, rule in told.datasets.items()
    }
    return replace(told, datasets=datasets)
