"""The HTTP protocol of the server, with the one thing that it does not tell an application: who is at the other end.

``scope["state"]["peer_certificate"]`` holds the client's certificate (DER), or None on a plain connection.
The head of a request is bounded here, in bytes and in seconds: the application hears of a request only once its head
is whole, so until then nobody has asked who the caller is.

Reveals:
    To who connects: that a head was too long or too slow.
"""

import asyncio
import logging
import ssl
from asyncio.events import TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_BYTES_MAX", "PEER", "PeerProtocol"]

PEER = "peer_certificate"
HEAD_BYTES_MAX = 16_384
"""Bytes of request line and headers; what comes in one piece may exceed it by that piece, at most 256 KiB."""

_LOG = logging.getLogger("middleplatform.node.server")
_HEAD_S = 20.0


class PeerProtocol(HttpToolsProtocol):
    """Puts the certificate of the connection into the state of each of its requests, and bounds their heads."""

    _head_bytes = 0
    _head_open = True
    _head_late: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the certificate once; the handshake is over by now."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        told = isinstance(session, ssl.SSLObject | ssl.SSLSocket)
        certificate = session.getpeercert(binary_form=True) if told else None
        self.app_state = {**self.app_state, PEER: certificate}
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that does not end in time or in bounds ends the connection."""
        super().data_received(data)
        if self._head_open:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._hang_up()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._begin_head()

    def on_headers_complete(self) -> None:
        """Pass the request on."""
        self._end_head()
        super().on_headers_complete()

    def _begin_head(self) -> None:
        self._end_head()
        self._head_open, self._head_bytes = True, 0
        self._head_late = self.loop.call_later(_HEAD_S, self._hang_up)

    def _end_head(self) -> None:
        self._head_open = False
        if self._head_late is not None:
            self._head_late.cancel()
            self._head_late = None

    def _hang_up(self) -> None:
        _LOG.warning("a caller was refused: the head of a request was too long or came too slowly")
        self._end_head()
        self.transport.abort()
