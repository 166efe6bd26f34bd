"""The policies of a node whose department has a file of its own beside what is published, without any documents."""

import made_world as made

from middleplatform.node.held_policies import Held, Rules
from middleplatform.policy.stricter import stricter


class Judging:
    """The policies of a node whose department has a file of its own beside what is published."""

    def __init__(self, own, published):
        rules = Rules(stricter(own, published), published, own)
        self._held = Held(1, "", published.digest, made.NOW, rules)

    def find(self, _digest):
        return self._held

    def rules(self, held):
        return held.rules

    def unchanged(self, *_):
        return True
