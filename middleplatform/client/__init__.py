"""What runs on a person's own machine: asking over REST, and opening sealed answers with a key that stays there."""

from middleplatform.client.opening import Opened, open_answer
from middleplatform.client.rest import Client

__all__ = ["Client", "Opened", "open_answer"]
