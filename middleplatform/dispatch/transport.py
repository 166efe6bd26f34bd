"""How bytes reach a node: one call, bytes in, bytes out, so that another transport (Arrow Flight) can stand beside."""

from typing import Protocol

__all__ = ["Transport"]


class Transport(Protocol):
    """Carries one message to a department's node and its reply back."""

    async def call(self, department: str, name: str, body: bytes, timeout_s: float) -> bytes:
        """Send a signed message and return the signed reply.

        Args:
            department: Whose node.
            name: Of the call, for the address; the message holds it too.
            body: A message of ``wire.frame``.
            timeout_s: Seconds until the reply is whole. When they are over, or the caller is cancelled, the
                connection is closed, which ends the node's work.

        Raises:
            SourceError: S001 not reachable or cut off, S002 too late.
            ProtocolError: X006 one side refuses the other's certificate.
            LimitError: L002 a reply larger than the transport takes.

        Reveals:
            To the node: the message. To who listens: its length and the moment.
        """
        ...

    def close(self) -> None:
        """Close all connections; twice is harmless."""
        ...
