"""Processes on one store in a real PostgreSQL: their names, their ends, and what they enter."""

from datetime import UTC, datetime

from doors import HandClock
from node_world import until
from sqlalchemy import update

from middleplatform.governance.kept import end_left_behind
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import QueryRequest, Role, Subject
from middleplatform.store import leases

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}), ("990101",))
AT = "2026-03-01T08:00:00+00:00"


class FreshRng:
    """Names that no other process has."""

    count = 0

    def token_bytes(self, size):
        FreshRng.count += 1
        return FreshRng.count.to_bytes(size, "big")


def address(running, name):
    return f"postgresql+pg8000://platform@127.0.0.1:{running.port}/{name}"


def stop(process):
    """Let a process renew its lease no more, as a stopped or killed one does not; its lease has expired."""
    process.member.stop()
    with process.member.store.writing() as connection:
        connection.execute(
            update(leases.leases)
            .where(leases.leases.c.name == process.member.lease.name)
            .values(expires_ms=1)
        )


def lost(process, other):
    """Wait until another process has taken the lease of a stopped one."""

    def gone():
        with other.member.store.apart() as connection:
            return not leases.hold(connection, process.member.lease)

    until(gone, "the lease to be lost")


def request(number):
    return QueryRequest(f"{number:032x}", "SELECT 1", LIN, "statistics", "p", datetime.now(UTC))


def entry(event, query_id, **more):
    return AuditRecord(event, {"at": AT, "query_id": query_id, **more})


def finish(process):
    return end_left_behind(process.member, process.log, lambda: "0" * 64, HandClock())
