"""A platform of its own over the sacrificial dataset, in this process, for when no gateway is at hand."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from middleplatform.access import shapes
from middleplatform.attack.people import Everyone
from middleplatform.attack.sandbox import PURPOSE, Defence, write_sandbox
from middleplatform.attack.surface import Ask
from middleplatform.demo.runtime import Platform, open_platform
from middleplatform.model.request import Role, Subject
from middleplatform.ports import Rng
from middleplatform.settings import Settings

__all__ = ["opened", "through"]


def through(platform: Platform, login: str) -> Ask:
    """Return the way in of one analyst: every stage of the gateway, and the document that REST would give."""
    subject = Subject(login, "stats", frozenset({Role.ANALYST}), ("*",))

    def ask(sql: str, project: str) -> Mapping[str, Any]:
        gateway = platform.gateway
        request = gateway.request(sql, subject, PURPOSE, project=project)
        return shapes.answer(asyncio.run(gateway.submit(request)))

    return ask


@contextmanager
def opened(
    folder: Path, people: Everyone, defence: Defence, rng: Rng | None = None
) -> Iterator[Platform]:
    """Open it; history, keys and log stay in the folder, so that another snapshot can be opened upon them.

    Args:
        folder: Of this platform alone.
        people: Whose rows it holds now.
        defence: Of its policy.
        rng: The operating system's unless given.
    """
    places = write_sandbox(folder, people, defence)
    settings = Settings(
        state=folder / "state", catalog=places["catalog"], bundle=places["bundle"],
        data=places["data"], threads=1, memory_mb=512,
    )  # fmt: skip
    with open_platform(settings, rng=rng) as found:
        yield found
