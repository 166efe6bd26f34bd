"""Where PostgreSQL's server programs are, and as whom they run: they refuse to run as the system's administrator."""

import os
import pwd
import shutil
import socket
from pathlib import Path
from typing import Any

__all__ = ["free_port", "ordinary_user", "process_options", "program"]


def program(name: str) -> str | None:
    """Return the newest installed program of that name, or None."""
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"),
        key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
    )
    return str(found[-1]) if found else shutil.which(name)


def ordinary_user() -> str | None:
    """Return whom to run a server as: nobody else, but for the administrator."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def process_options(user: str | None) -> dict[str, Any]:
    """Return what makes ``subprocess`` run a program as that user, with none of the administrator's rights."""
    if user is None:
        return {"cwd": "/"}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
