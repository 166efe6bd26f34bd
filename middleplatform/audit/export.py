"""Write a log out as JSON lines that anybody can verify, with ``verify.py`` or without.

The first line says what it is; then each entry in order, each signed checkpoint right after the
last entry that it covers; the newest checkpoint last. Every line is canonical JSON.

Spec: docs/spec/audit-log.md, "Export".
"""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from middleplatform.audit.entry import LogEntry, canonical
from middleplatform.audit.merkle import HashProfile
from middleplatform.audit.places import LogStore
from middleplatform.audit.verify import read_lines
from middleplatform.errors import ConfigError

__all__ = ["FORMAT", "entries", "lines", "write"]

FORMAT = "middleplatform-audit-log/v1"


def lines(store: LogStore, profile: HashProfile) -> Iterator[bytes]:
    """Yield the lines of an export, each with its newline."""
    origin, _ = store.identity()
    latest = store.latest_checkpoint()
    size = latest[0] if latest else 0
    yield (
        canonical({"format": FORMAT, "hash": profile.name, "origin": origin, "size": size}) + b"\n"
    )
    entries = store.entries(0, size)
    before = 0
    for covered, note in store.checkpoints():
        for index, leaf in islice(entries, covered - before):
            digest = profile.leaf(leaf).hex().encode()
            yield b'{"entry":%b,"index":%d,"leaf_hash":"%b"}\n' % (leaf, index, digest)
        before = covered
        text = note + "".join(store.cosignatures(covered))
        yield canonical({"checkpoint": text, "size": covered}) + b"\n"


def write(path: Path, store: LogStore, profile: HashProfile) -> int:
    """Write an export, whole or not at all, and return the number of entries.

    Raises:
        ConfigError: C011 when the file system refuses.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    latest = store.latest_checkpoint()
    try:
        descriptor = os.open(
            scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(lines(store, profile))
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError("C011", what=("the export", "导出文件"), detail=str(error)) from None
    return latest[0] if latest else 0


def entries(path: Path) -> Iterator[LogEntry]:
    """Yield the entries of an export that ``verify.verify`` has verified."""
    for line in read_lines(path):
        index, entry = line.get("index"), line.get("entry")
        if isinstance(index, int) and isinstance(entry, dict):
            yield LogEntry(index, canonical(entry))
