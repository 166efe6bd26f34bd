"""Apache Spark over Spark Connect, for data that outgrow one machine.

Statements run on the cluster and only their results come here; a kernel runs on the cluster too, in
its Python workers, beside the rows. Each call has a thread and an operation tag of its own: when
its time is over, or nobody waits any more, the cluster is told to interrupt what has the tag.

Spec: docs/spec/connector-spi.md; for operators: docs/reference/connectors-spark.md
"""

import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from types import MappingProxyType, ModuleType
from typing import TypeAlias, TypeVar

import pyarrow as pa
from pyspark import cloudpickle
from pyspark.errors import AnalysisException
from pyspark.sql import types as spark
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.plan import SQL
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from connectors import spark_beside, spark_errors
from connectors.results import bounded, fitted
from connectors.spark_session import Server, check_alive, open_session, quoted
from connectors.spi import (
    Capabilities,
    ColumnDescription,
    ConnectorError,
    ErrorKind,
    ExecutionLimits,
    Kernel,
    Statement,
    TableDescription,
    TypeKind,
)

__all__ = ["SparkConnector"]

_POLL_S = 0.05
_INTERRUPT_EVERY_S = 0.2
_GRACE_S = 3.0
"""How long an interrupted call may still run before its caller is let go."""
_DESCRIBE_S = 60.0

_Answer = TypeVar("_Answer")
_Work: TypeAlias = Callable[[SparkSession], _Answer]

_KINDS: tuple[tuple[type[spark.DataType], TypeKind], ...] = (
    (spark.IntegralType, TypeKind.INTEGER),
    (spark.StringType, TypeKind.TEXT),
    (spark.DateType, TypeKind.DATE),
    (spark.BooleanType, TypeKind.BOOLEAN),
)


class SparkConnector:
    """Reads the tables and views of one Spark Connect server.

    The server is reached at the first call, and again after it was lost.

    Args:
        remote: ``sc://host:port`` or ``sc://host:port/;use_ssl=true``, without a token.
        token_env: Name of the environment variable that holds the bearer token, or empty.
        token_file: File that holds the bearer token, or empty.
        ca_file: PEM file of the authorities that may vouch for the server; the system's when empty.
        plain_text: Another machine may be spoken to without TLS.
        catalog: The session's catalog; the server's default when empty.
        schema: The session's schema; the server's default when empty.
        views: Parquet files or folders, as the cluster sees them, by the name of a view.

    Raises:
        ConnectorError: REFUSED for an address that is none, that carries a token, or that names
            another machine without TLS and without ``plain_text``.
    """

    def __init__(  # noqa: PLR0913 - options of a configuration file
        self,
        remote: str,
        *,
        token_env: str = "",
        token_file: str = "",
        ca_file: str = "",
        plain_text: bool = False,
        catalog: str = "",
        schema: str = "",
        views: Mapping[str, str] | None = None,
    ) -> None:
        self._server = Server(
            remote, token_env, token_file, ca_file, plain_text, catalog, schema, dict(views or {})
        )
        self._lock = threading.Lock()
        self._opened: tuple[SparkSession, str] | None = None
        self._closed = threading.Event()

    def describe(self, names: Collection[str] = ()) -> Mapping[str, TableDescription]:
        """Return tables and views of the session's schema.

        Args:
            names: Only these, one round trip each; a name may have parts: ``schema.table``.

        Raises:
            ConnectorError: The cluster cannot be reached or read.
        """
        limits = ExecutionLimits(timeout_s=_DESCRIBE_S, rows_max=1, memory_mb=1)

        def work(session: SparkSession) -> Mapping[str, TableDescription]:
            wanted = names or [
                row["tableName"] for row in session.sql("SHOW TABLES").toArrow().to_pylist()
            ]
            found = {name: _described(session, name) for name in wanted}
            return MappingProxyType({name: one for name, one in found.items() if one is not None})

        return self._run(work, limits)

    def capabilities(self) -> Capabilities:
        """Return the dialect ``spark``, streaming."""
        return Capabilities(dialect="spark", streaming=True)

    def execute(self, statement: Statement, limits: ExecutionLimits) -> pa.Table:
        """Run one SELECT on the cluster.

        Raises:
            ConnectorError: REFUSED for anything but one SELECT; see the SPI for the other kinds.
        """
        sql = f"{_subquery(statement.sql)} LIMIT {limits.rows_max + 1}"

        def work(session: SparkSession) -> pa.Table:
            return fitted(
                _collected(session, DataFrame(SQL(sql), session), limits), statement.result
            )

        return self._run(work, limits)

    def scan(
        self, statement: Statement, kernel: Kernel, result: pa.Schema, limits: ExecutionLimits
    ) -> pa.Table:
        """Run one SELECT and ``kernel`` over its rows on the cluster, on as many parts as it likes.

        The modules in which the kernel and its class are defined travel with it; what they import
        must be installed on the workers.

        Raises:
            ConnectorError: As ``execute``; FAILED also for what the kernel raises.
        """
        sql = _subquery(statement.sql)
        for module in (spark_beside, *spark_beside.TRAVELS, _module_of(kernel)):
            cloudpickle.register_pickle_by_value(module)
        carried = from_arrow_schema(spark_beside.carried(result))
        run = spark_beside.beside(kernel, statement.result, result)

        def work(session: SparkSession) -> pa.Table:
            rows = DataFrame(SQL(sql), session)
            yielded = rows.mapInArrow(run, carried)
            return _uncarried(_collected(session, yielded, limits), result)

        return self._run(work, limits)

    def close(self) -> None:
        """Release the session; what runs in other threads is interrupted and is UNREACHABLE."""
        self._closed.set()
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            _released(opened[0])

    # --- sessions -------------------------------------------------------------------------------

    def _run(self, work: _Work[_Answer], limits: ExecutionLimits) -> _Answer:
        """Run ``work`` on a session in a thread of its own, and give up in time."""
        call = _Call()

        def run() -> _Answer:
            try:
                return self._tried(work, call)
            except Exception as error:  # noqa: BLE001 - the client and its transport raise many
                raise spark_errors.of(error) from None

        future: Future[_Answer] = Future()
        threading.Thread(target=_fulfil, args=(future, run), daemon=True).start()
        ends = time.monotonic() + limits.timeout_s
        while not self._closed.is_set() and not limits.stop.is_set():
            left = ends - time.monotonic()
            if left <= 0:
                break
            if wait([future], min(_POLL_S, left)).done:
                return future.result()
        self._interrupt(call, future)
        if self._closed.is_set():
            raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
        if limits.stop.is_set():
            raise ConnectorError(ErrorKind.CANCELLED, "nobody waits any more")
        raise ConnectorError(ErrorKind.TIMEOUT, f"more than {limits.timeout_s} s")

    def _tried(self, work: _Work[_Answer], call: "_Call") -> _Answer:
        """Run ``work``, once more on a new session when the server no longer has the old one."""
        try:
            return self._once(work, call)
        except Exception as error:
            if not spark_errors.session_is_gone(error):
                raise
        call.session = None
        return self._once(work, call)

    def _once(self, work: _Work[_Answer], call: "_Call") -> _Answer:
        opened = self._session()
        session, mark = opened
        session.addTag(call.tag)
        call.session = session
        try:
            check_alive(session, mark)  # so that ``work`` is not run twice
            return work(session)
        except Exception as error:
            if _is_lost(error):
                self._forget(opened)
            elif _is_limit(error):
                with suppress(Exception):
                    session.interruptTag(call.tag)
            raise

    def _session(self) -> tuple[SparkSession, str]:
        with self._lock:
            if self._closed.is_set():
                raise ConnectorError(ErrorKind.UNREACHABLE, "the connector is closed")
            if self._opened is None:
                self._opened = open_session(self._server)
            return self._opened

    def _forget(self, opened: tuple[SparkSession, str]) -> None:
        with self._lock:
            if self._opened is opened:
                self._opened = None

    def _interrupt(self, call: "_Call", future: "Future[_Answer]") -> None:
        """Interrupt what runs on the cluster; wait until it ends, but not for ever.

        One interrupt is not enough: it is lost when the cluster has not begun yet.
        """

        def interrupt() -> None:
            ends = time.monotonic() + _GRACE_S
            while not future.done() and time.monotonic() < ends:
                with suppress(Exception):
                    if call.session is not None:
                        call.session.interruptTag(call.tag)
                wait([future], _INTERRUPT_EVERY_S)

        threading.Thread(target=interrupt, daemon=True).start()
        wait([future], _GRACE_S)


class _Call:
    """One call: its tag, and the session that it runs on once there is one."""

    def __init__(self) -> None:
        self.tag = f"middleplatform-{uuid.uuid4()}"
        self.session: SparkSession | None = None


def _fulfil(future: "Future[_Answer]", run: Callable[[], _Answer]) -> None:
    try:
        future.set_result(run())
    except BaseException as error:  # noqa: BLE001 - it is raised where the future is read
        future.set_exception(error)


def _is_lost(error: Exception) -> bool:
    return spark_errors.of(error).kind is ErrorKind.UNREACHABLE


def _is_limit(error: Exception) -> bool:
    return isinstance(error, ConnectorError) and error.kind is ErrorKind.LIMIT


def _released(session: SparkSession) -> None:
    """Let go of a session on a server that may be gone."""
    with suppress(Exception):
        session.interruptAll()
    with suppress(Exception):
        session.client.release_session()
    with suppress(Exception):
        session.client.close()


# --- statements ---------------------------------------------------------------------------------


def _subquery(sql: str) -> str:
    """Return a SELECT from ``sql``: a command is no subquery, and so is never run.

    Raises:
        ConnectorError: REFUSED for what does not begin like a query.
    """
    if not sql.lstrip("( \n").upper().startswith(("SELECT ", "SELECT\n", "WITH ")):
        raise ConnectorError(ErrorKind.REFUSED, "not one SELECT")
    return f"SELECT * FROM (\n{sql}\n) AS `answer`"  # noqa: S608 - the platform's own statement


def _collected(session: SparkSession, frame: DataFrame, limits: ExecutionLimits) -> pa.Table:
    """Run ``frame`` and read its result in pieces."""
    plan = frame._plan.to_proto(session.client)  # noqa: SLF001 - the client collects only whole results
    pieces = session.client.to_table_as_iterator(plan, {})
    told: list[pa.Schema | spark.StructType] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            if isinstance(piece, pa.Table):
                told.append(piece.schema)
                yield from piece.to_batches()
            else:
                told.append(piece)

    try:
        found = list(bounded(batches(), limits))
    finally:
        pieces.close()  # the server lets go of a result that was not read to its end
    # The types that came are those that count; an empty result may come without a batch.
    schema = told[-1] if isinstance(told[-1], pa.Schema) else to_arrow_schema(told[-1])
    return pa.Table.from_batches(found, schema)


def _uncarried(table: pa.Table, result: pa.Schema) -> pa.Table:
    """Return a kernel's columns as it yielded them."""
    for place, item in enumerate(result):
        if pa.types.is_fixed_size_binary(item.type):
            table = table.set_column(place, item, table.column(place).cast(item.type))
    return fitted(table, result)


def _module_of(kernel: Kernel) -> ModuleType:
    name = getattr(kernel, "__module__", None) or type(kernel).__module__
    return sys.modules[name]


# --- types --------------------------------------------------------------------------------------


def _described(session: SparkSession, name: str) -> TableDescription | None:
    """Return a table's columns, or None when there is no such table."""
    try:
        found = session.table(".".join(quoted(part) for part in name.split("."))).schema
    except AnalysisException as error:
        if "TABLE_OR_VIEW_NOT_FOUND" in (error.getCondition() or str(error)):
            return None
        raise
    return TableDescription(tuple(_column(item) for item in found.fields))


def _column(item: spark.StructField) -> ColumnDescription:
    kind = item.dataType
    if isinstance(kind, spark.DecimalType):
        return ColumnDescription(
            item.name, TypeKind.DECIMAL, kind.precision, kind.scale, item.nullable
        )
    if isinstance(kind, spark.StringType) and not kind.isUTF8BinaryCollation():
        return ColumnDescription(item.name, TypeKind.OTHER, nullable=item.nullable)
    found = next((known for one, known in _KINDS if isinstance(kind, one)), TypeKind.OTHER)
    return ColumnDescription(item.name, found, nullable=item.nullable)
