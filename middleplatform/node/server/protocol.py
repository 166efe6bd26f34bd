"""The HTTP protocol of the server, with the one thing that it does not tell an application: who is at the other end.

``scope["state"]["peer_certificate"]`` holds the client's certificate (DER), or None on a plain connection.

Reveals:
    Nothing.
"""

import asyncio
import ssl

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["PEER", "PeerProtocol"]

PEER = "peer_certificate"


class PeerProtocol(HttpToolsProtocol):
    """Puts the certificate of the connection into the state of each of its requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the certificate once; the handshake is over by now."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        told = isinstance(session, ssl.SSLObject | ssl.SSLSocket)
        certificate = session.getpeercert(binary_form=True) if told else None
        self.app_state = {**self.app_state, PEER: certificate}
