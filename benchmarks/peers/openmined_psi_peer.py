"""Two lists through openmined-psi, both roles in this process, one after the other, as its own example does.

The client learns which identifiers are in both; nobody groups or adds anything. Golomb-compressed sets, one false
positive in 2**30: the size of list that it has by default, and one tenth more or less with a raw list.
Run by ``python -m benchmarks.peers openmined-psi --rows N``, with the interpreter that has it.
"""

import json
import resource
import sys
import time

import private_set_intersection.python as psi

_FALSE_POSITIVES = 2.0**-30


def main() -> None:
    rows = int(sys.argv[2])
    # Identity numbers of a made region: 18 characters, the first half of the second list is the second of the first.
    ours = [f"990101{at:012d}" for at in range(rows)]
    theirs = [f"990101{at:012d}" for at in range(rows // 2, rows // 2 + rows)]
    steps, begin = {}, time.perf_counter()

    def step(name, work):
        at = time.perf_counter()
        result = work()
        steps[name] = round(time.perf_counter() - at, 3)
        return result

    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = step("setup", lambda: server.CreateSetupMessage(_FALSE_POSITIVES, rows, theirs))
    request = step("request", lambda: client.CreateRequest(ours))
    response = step("response", lambda: server.ProcessRequest(request))
    found = step("intersection", lambda: client.GetIntersection(setup, response))
    seconds = time.perf_counter() - begin
    assert len(found) == rows - rows // 2
    print(json.dumps({
        "peer": sys.argv[1],
        "version": psi.__version__,
        "rows": rows,
        "seconds": round(seconds, 3),
        "steps": steps,
        "matches": len(found),
        "bytes": setup.ByteSize() + request.ByteSize() + response.ByteSize(),
        "processes": 1,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "learns": "the client: which identifiers are in both lists",
    }))  # fmt: skip


if __name__ == "__main__":
    main()
