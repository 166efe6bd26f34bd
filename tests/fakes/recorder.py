"""A transport that remembers every message, in both directions, as it is before encryption and after decryption."""

from dataclasses import dataclass, field

from middleplatform.dispatch.transport import Transport


@dataclass(frozen=True)
class Exchange:
    """One call: what was sent, and what came back; None where nothing did."""

    department: str
    name: str
    body: bytes
    reply: bytes | None


@dataclass
class Recorder:
    """Passes calls on to ``inner``."""

    inner: Transport
    exchanges: list[Exchange] = field(default_factory=list)

    async def call(self, department: str, name: str, body: bytes, timeout_s: float) -> bytes:
        reply = None
        try:
            reply = await self.inner.call(department, name, body, timeout_s)
        finally:
            self.exchanges.append(Exchange(department, name, body, reply))
        return reply

    def close(self) -> None:
        self.inner.close()
