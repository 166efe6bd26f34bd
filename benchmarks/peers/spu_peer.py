"""Two lists through the set intersection of spu, two processes over loopback: RR22, or Diffie-Hellman on curve25519.

Of the latter there are two: identifiers hashed by Elligator 2 as we do, or a hash taken as u-coordinate (``raw``),
which is the faster one and tells a bit of every identifier (docs/spec/private-join-blinded.md, "Points").

Both lists are written as CSV beforehand; the time is from the call to the result file of the receiver, without
alignment of the rows. The receiver learns which identifiers are in both; nobody groups or adds anything.
Run by ``python -m benchmarks.peers spu-rr22 --rows N``, with the interpreter that has it.
"""

import json
import multiprocessing
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

import spu
from spu import libspu, psi

_CURVES = psi.EllipticCurveType
_PROTOCOLS = {
    "spu-rr22": (psi.PsiProtocol.PROTOCOL_RR22, _CURVES.CURVE_INVALID_TYPE),
    "spu-ecdh": (psi.PsiProtocol.PROTOCOL_ECDH, _CURVES.CURVE_25519_ELLIGATOR2),
    "spu-ecdh-raw": (psi.PsiProtocol.PROTOCOL_ECDH, _CURVES.CURVE_25519),
}


def main() -> None:
    before = set(_traces())
    try:
        _measure(sys.argv[1], int(sys.argv[2]))
    finally:
        for trace in set(_traces()) - before:
            trace.unlink(missing_ok=True)


def _traces() -> list[Path]:
    """Return the traces that the library leaves in a place of its own choice."""
    return list(Path("/tmp").glob("psi_*.trace"))


def _measure(peer: str, rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for rank in range(2):
            _written(Path(folder) / f"in{rank}.csv", rows, rank * (rows // 2))
        ports = [_free_port() for _ in range(2)]
        context = multiprocessing.get_context("spawn")
        results = context.SimpleQueue()
        parties = [
            context.Process(target=_party, args=(peer, rank, ports, folder, results))
            for rank in range(2)
        ]
        for each in parties:
            each.start()
        found = dict(results.get() for _ in parties)
        for each in parties:
            each.join()
        failed = [each["failed"] for each in found.values() if "failed" in each]
        if failed:
            sys.exit(failed[0])
        lines = (Path(folder) / "out0.csv").read_bytes().count(b"\n") - 1
    assert lines == rows - rows // 2, lines
    print(json.dumps({
        "peer": peer,
        "version": spu.__version__,
        "rows": rows,
        "seconds": round(max(each["seconds"] for each in found.values()), 3),
        "matches": lines,
        "processes": 2,
        "peak_mib": max(each["peak_mib"] for each in found.values()),
        "learns": "the receiver: which identifiers are in both lists",
    }))  # fmt: skip


def _written(path: Path, rows: int, start: int) -> None:
    with path.open("w") as file:
        file.write("id\n")
        file.writelines(f"990101{at:012d}\n" for at in range(start, start + rows))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _party(peer, rank, ports, folder, results) -> None:
    try:
        results.put((rank, _run(peer, rank, ports, folder)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent waits for an answer
        results.put((rank, {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}))


def _run(peer, rank, ports, folder):
    desc = libspu.link.Desc()
    for at, port in enumerate(ports):
        desc.add_party(f"party{at}", f"127.0.0.1:{port}")
    link = libspu.link.create_brpc(desc, rank)
    protocol, curve = _PROTOCOLS[peer]
    config = psi.PsiExecuteConfig(
        psi.PsiProtocolConfig(protocol, ecdh_params=psi.EcdhParams(curve)),
        psi.InputParams(path=f"{folder}/in{rank}.csv", selected_keys=["id"], keys_unique=True),
        psi.OutputParams(path=f"{folder}/out{rank}.csv", disable_alignment=True),
    )
    begin = time.perf_counter()
    psi.psi_execute(config, link)
    seconds = time.perf_counter() - begin
    link.stop_link()
    return {
        "seconds": seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


if __name__ == "__main__":
    main()
