"""``keyholder``: the party that holds no data and removes the masks of private joins; enrolled and run like a node."""

from middleplatform.cli.commands.node import add_enrolment
from middleplatform.cli.commands.node_run import add_serve
from middleplatform.cli.locale import Say
from middleplatform.cli.parser import Commands, group

__all__ = ["PARTY", "add"]

PARTY = "keyholder"
"""Its name in every roster and cohort."""


def add(commands: Commands, say: Say) -> None:
    """Declare its commands."""
    text = say(
        "The key holder of private joins, who holds no data", "隐私连接的密钥持有方（不持有数据）"
    )
    mine = group(commands, say, PARTY, text)
    add_enrolment(mine, say, PARTY)
    add_serve(mine, say, PARTY)
