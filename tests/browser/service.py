"""The platform's service as a process of its own, on the demonstration's departments, with a login for everybody."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_CODE = re.compile(r"  ((?:\w{5}-){3}\w{5})  (\w+) ")
_LAST = "Ctrl-C stops it."


@dataclass
class Service:
    """A running service.

    Attributes:
        url: Where it serves.
        state: Its state folder.
        codes: Login codes by person, as the service printed them.
    """

    url: str
    state: Path
    codes: dict[str, str]
    _secrets: dict[str, str] = field(default_factory=dict)

    def cookies(self, person: str) -> dict[str, str]:
        """Return the cookies of a browser in which ``person`` is logged in; one session a person."""
        if person not in self._secrets:
            with self.client() as client:
                page = client.get("/console/login").text
                found = re.search(r'name="visit" value="([\w-]+)"', page)
                answer = client.post(
                    "/console/login", data={"visit": found[1], "code": self.codes[person]}
                )
                assert answer.status_code == 303, answer.text
                self._secrets[person] = client.cookies["session"]
        return {"session": self._secrets[person]}

    def client(self, person: str = "") -> httpx.Client:
        """Return a client of the service, as a browser in which ``person`` is logged in."""
        cookies = self.cookies(person) if person else {}
        return httpx.Client(base_url=self.url, cookies=cookies, timeout=60)

    def send(self, person: str, path: str, **fields: object) -> httpx.Response:
        """Send a form as ``person`` and return the answer."""
        with self.client(person) as client:
            token = re.search(r'name="csrf-token" content="([\w-]+)"', client.get("/console").text)
            return client.post(path, data={"csrf": token[1], **fields})


@contextmanager
def serving(folder: Path, data: Path, bundle: Path | None = None) -> Iterator[Service]:
    """Start the service over the databases in ``data``; its state lies in ``folder``.

    Args:
        folder: Of its state.
        data: Of the departments' databases.
        bundle: Folder of the policy to begin with; the demonstration's where none is given.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("MIDDLEPLATFORM_")
    }
    environment = kept | {
        "MIDDLEPLATFORM_STATE": str(folder), "MIDDLEPLATFORM_DATA": str(data), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    environment |= {"MIDDLEPLATFORM_BUNDLE": str(bundle)} if bundle else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "middleplatform", "serve", "--port", "0"],
        env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if lines[-1] == _LAST:
            break
    assert lines[-1:] == [_LAST], "\n".join(lines)
    # What it says later must not fill the pipe, and belongs into the test's report.
    rest = threading.Thread(target=lambda: sys.stderr.write(process.stderr.read()))
    rest.start()
    codes = {found[2]: found[1] for line in lines if (found := _CODE.match(line))}
    try:
        yield Service(re.search(r"http://[\d.:]+", lines[0])[0], folder, codes)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        rest.join()
        process.stderr.close()
