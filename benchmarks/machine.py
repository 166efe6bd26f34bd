"""What a figure was measured on."""

import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

__all__ = ["QUIET_LOAD", "fsync_p50_ms", "machine", "peak_mib", "wait_until_quiet"]

QUIET_LOAD = 0.7
_LIBRARIES = ("cryptography", "duckdb", "numpy", "pyarrow", "sqlglot")


def machine(folder: Path | None = None) -> Mapping[str, object]:
    """Describe this machine; ``folder`` (a temporary one by default) names the disk measured."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "fsync_4k_p50_ms": fsync_p50_ms(folder),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def fsync_p50_ms(folder: Path | None = None, rounds: int = 200) -> float:
    """Return milliseconds for a durable 4 kB: the floor under a log entry."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(rounds):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return round(1000 * statistics.median(times), 3)


def wait_until_quiet(seconds: float) -> float:
    """Wait for a load below ``QUIET_LOAD``, at most ``seconds``; return the load of the minute."""
    until = time.monotonic() + seconds
    while (load := os.getloadavg()[0]) >= QUIET_LOAD and time.monotonic() < until:
        time.sleep(2)
    return round(load, 2)


def peak_mib() -> int:
    """Return the most memory that this process held, MiB.

    Linux's ``ru_maxrss`` outlives exec and so may be the parent's; VmHWM is this program's own.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) >> 10
