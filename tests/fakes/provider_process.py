"""A provider of identities as a process of its own (``oidc-provider-mock``, made of Authlib), on loopback."""

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

_STARTS_S = 20


@contextmanager
def provider(*people):
    """Run it with people by their claims and give its issuer identifier."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [part for each in people for part in ("--user-claims", json.dumps(each))]
    command = [
        sys.executable,
        "-m",
        "oidc_provider_mock",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command + given, stdout=quiet, stderr=quiet)
    issuer = f"http://127.0.0.1:{port}"
    try:
        _wait(issuer, process)
        yield issuer
    finally:
        process.terminate()
        process.wait(10)


def log_in_at(url, sub):
    """Be the person at the provider's page: return the address to which it sends the browser back."""
    answer = httpx.post(url, data={"sub": sub}, trust_env=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def _wait(issuer, process):
    until = time.monotonic() + _STARTS_S
    while time.monotonic() < until:
        assert process.poll() is None, "the provider did not start"
        try:
            httpx.get(f"{issuer}/.well-known/openid-configuration", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the provider did not answer")
