"""Environments of the peers: made once with venv and pip under ``build/``, from what ``requirements-*.txt`` pins."""

import json
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PEERS", "PeerError", "measured", "python_of"]

_HERE = Path(__file__).parent
_BUILD = _HERE.parents[1] / "build"

PEERS = {
    "openmined-psi": "openmined_psi_peer.py",
    "spu-rr22": "spu_peer.py",
    "spu-ecdh": "spu_peer.py",
    "spu-ecdh-raw": "spu_peer.py",
}
"""Each peer's name, and the file that measures it."""


class PeerError(RuntimeError):
    """A peer cannot be installed or did not run; the benchmark says so in place of a figure."""


def python_of(peer: str) -> Path:
    """Return the interpreter of the peer's environment, which is made if it is missing or of other versions.

    Raises:
        PeerError: pip cannot install it.
    """
    name = peer.partition("-")[0]
    pins = _HERE / f"requirements-{name}.txt"
    folder = _BUILD / f"peers-venv-{name}"
    stamp, interpreter = folder / ".installed", folder / "bin/python"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return interpreter
    venv.create(folder, with_pip=True)
    _run(
        [
            str(interpreter),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(pins),
        ]
    )
    stamp.write_bytes(pins.read_bytes())
    return interpreter


def measured(peer: str, rows: int) -> Mapping[str, object]:
    """Return the peer's own figures for two lists of ``rows`` identifiers, half of them in both.

    Raises:
        PeerError: It cannot be installed, or failed.
    """
    interpreter = python_of(peer)
    printed = _run([str(interpreter), str(_HERE / PEERS[peer]), peer, str(rows)])
    found: Mapping[str, object] = json.loads(printed.splitlines()[-1])
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PeerError(lines[-1] if lines else f"ended with {done.returncode}")
    sys.stderr.flush()
    return done.stdout
