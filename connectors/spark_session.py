"""One session on a Spark Connect server: how it is reached, what it is set to, what it can see.

The token is read from a file or an environment variable when a session is opened, and stands in no
configuration. Spark's client retries a lost server for ten minutes by itself, and prints errors
with their text (which may quote rows) to standard error; both are turned off here.
"""

import atexit
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from pyspark.logger import PySparkLogger
from pyspark.sql.connect.client import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import RetryPolicy
from pyspark.sql.connect.logging import logger as client_logger
from pyspark.sql.connect.proto.base_pb2 import ConfigRequest, KeyValue
from pyspark.sql.connect.session import SparkSession

from connectors.spark_errors import SessionGone
from connectors.spi import ConnectorError, ErrorKind

__all__ = ["Server", "check_alive", "open_session", "quoted"]

_MARK = "middleplatform.session"
_SETTINGS: Mapping[str, str] = {
    "spark.sql.ansi.enabled": "true",  # an overflow fails, instead of a missing value
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.groupByOrdinal": "true",
    # A product is exact or fails; two decimals meet in one that has the places of both, or fails.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.legacy.decimal.retainFractionDigitsOnTruncate": "true",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.connect.serverStacktrace.enabled": "false",
    "spark.sql.pyspark.jvmStacktrace.enabled": "false",
}
# No statement of ours names a file; the views do, each time that they are read.
_NO_FILES: Mapping[str, str] = {"spark.sql.runSQLOnFiles": "false"}
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NOT_IN_ADDRESS = ("token", "session_id", "user_id", "user_agent")
_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel does not wait with an old one
]
# Loggers of the client that print a message of the server.
_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is, and how it is spoken to.

    Attributes:
        remote: ``sc://host:port`` or ``sc://host:port/;use_ssl=true``.
        token_env: Name of the environment variable that holds the bearer token, or empty.
        token_file: File that holds the bearer token, or empty.
        ca_file: PEM file of the authorities that may vouch for the server; the system's when empty.
        plain_text: Another machine may be spoken to without TLS.
        catalog: Set as the session's, when not empty.
        schema: Set as the session's, when not empty.
        views: Parquet files or folders, by the name that statements call them.
        user: As which the cluster knows us.
    """

    remote: str
    token_env: str = ""
    token_file: str = ""
    ca_file: str = ""
    plain_text: bool = False
    catalog: str = ""
    schema: str = ""
    views: Mapping[str, str] = field(default_factory=dict)
    user: str = "middleplatform"

    def __post_init__(self) -> None:
        """Refuse an address that carries a secret, or that would send one in the clear."""
        builder = _builder(self)
        if any(name in builder._params for name in _NOT_IN_ADDRESS):  # noqa: SLF001 - no other way
            raise ConnectorError(ErrorKind.REFUSED, "the address names a token or a session")
        if self.token_env and self.token_file:
            raise ConnectorError(ErrorKind.REFUSED, "a token from two places")
        if not builder.use_ssl and not self.plain_text and builder.host not in _LOOPBACK:
            raise ConnectorError(
                ErrorKind.REFUSED, "another machine needs use_ssl=true, or plain_text for once"
            )

    def token(self) -> str:
        """Return the bearer token, or an empty string when none is asked for.

        Raises:
            ConnectorError: MISSING when it is not where it should be.
        """
        if self.token_env:
            found = os.environ.get(self.token_env, "")
        elif self.token_file:
            found = _read(self.token_file).decode(errors="replace").strip()
        else:
            return ""
        if not found:
            raise ConnectorError(ErrorKind.MISSING, "the token is empty or not set")
        return found


class _Never(RetryPolicy):  # type: ignore[misc] # untyped base
    """Retries nothing: the platform tells at once that a department cannot be reached.

    A stream that the server cuts after some minutes is taken up again by the client all the same.
    """


def open_session(server: Server) -> tuple[SparkSession, str]:
    """Open a session, set it up and register the views.

    Returns:
        The session, and the mark by which it is known again.

    Raises:
        ConnectorError: MISSING for a token or certificate file that is not there.
        Exception: What the client raises.
    """
    _silence()
    session = SparkSession(_Channel(server), server.user)
    # The client would call the server when the process ends, and wait for one that is gone.
    atexit.unregister(session.client._on_exit)  # noqa: SLF001 - no other way
    try:
        session.client.set_retry_policies([_Never()])
        mark = str(uuid.uuid4())
        _set(session, {**_SETTINGS, _MARK: mark})
        if server.catalog:
            session.catalog.setCurrentCatalog(server.catalog)
        if server.schema:
            session.catalog.setCurrentDatabase(server.schema)
        for name, path in server.views.items():
            # By text and not by plan: the files are listed again for each statement.
            session.sql(
                f"CREATE OR REPLACE TEMPORARY VIEW {quoted(name)} AS "  # noqa: S608 - quoted
                f"SELECT * FROM parquet.{quoted(path)}"
            )
        if not server.views:
            _set(session, _NO_FILES)
    except BaseException:
        session.client.close()
        raise
    return session, mark


def check_alive(session: SparkSession, mark: str) -> None:
    """Check that the server still has the session that we set up.

    A server may have been restarted, or have dropped a session that idled, and may open an empty
    one under the same name without a word: its settings and views would not be ours.

    Raises:
        SessionGone: It has not, or does not answer.
    """
    try:
        found = session.client.get_config_with_defaults((_MARK, ""))
    except Exception as error:  # noqa: BLE001 - whatever it is, a new session tells better
        raise SessionGone(str(error)) from None
    if found != (mark,):
        raise SessionGone("another session of our name")


def quoted(name: str) -> str:
    """Return ``name`` as an identifier of Spark's SQL."""
    return "`" + name.replace("`", "``") + "`"


def _set(session: SparkSession, settings: Mapping[str, str]) -> None:
    """Set them in one round trip; the server's advice on them, which ``conf.set`` prints, is left."""
    pairs = [KeyValue(key=name, value=value) for name, value in settings.items()]
    session.client.config(
        ConfigRequest.Operation(set=ConfigRequest.Set(pairs=pairs)),
    )


def _builder(server: Server) -> DefaultChannelBuilder:
    try:
        return DefaultChannelBuilder(server.remote)
    except Exception as error:  # noqa: BLE001 - of the client and of the parser of addresses
        raise ConnectorError(ErrorKind.REFUSED, f"the address is not one: {error}") from None


class _Channel(DefaultChannelBuilder):  # type: ignore[misc] # untyped base
    """A channel with the operator's own authorities, and past every proxy of the environment."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.remote, _OPTIONS)
        self._server = server

    def toChannel(self) -> grpc.Channel:  # noqa: N802 - the client's name
        """Return the channel that the client is to use."""
        token = self._server.token()
        if not self.use_ssl and not token:
            return self._insecure_channel(self.endpoint)
        if self.use_ssl:
            authorities = _read(self._server.ca_file) if self._server.ca_file else None
            credentials = grpc.ssl_channel_credentials(authorities)
        else:
            credentials = grpc.local_channel_credentials()  # refuses any machine but this one
        if token:
            bearer = grpc.access_token_call_credentials(token)
            credentials = grpc.composite_channel_credentials(credentials, bearer)
        return self._secure_channel(self.endpoint, credentials)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConnectorError(ErrorKind.MISSING, str(error)) from None


def _silence() -> None:
    loggers: list[logging.Logger] = [client_logger]
    loggers += [PySparkLogger.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.disabled = True
