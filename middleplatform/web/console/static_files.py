"""Files that pages load: read once, addressed by what is in them, so that a browser keeps them for good.

``/console/static/console.<16 hexadecimal digits>.css``: another content is another address. Files are served from
memory, by exact name; no path is ever made from a request.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import Request, Response

from middleplatform.errors import QueryError

__all__ = ["PREFIX", "Files", "StaticFile"]

PREFIX = "/console/static/"
_KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_GZIP_BYTES_MIN = 1024
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file.

    Attributes:
        kind: Media type.
        digest: First hexadecimal digits of its SHA-256.
        plain: Its bytes.
        packed: The same in gzip; empty where that is not worth it.
    """

    kind: str
    digest: str
    plain: bytes
    packed: bytes


class Files:
    """The files of a folder.

    Args:
        folder: Whose files are served; those of other kinds than style, script, picture and text are not.
    """

    def __init__(self, folder: Path) -> None:
        self._addresses: dict[str, str] = {}
        self._files: dict[str, StaticFile] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix in _KINDS:
                found = _read(file)
                served = f"{file.stem}.{found.digest}{file.suffix}"
                self._addresses[file.name], self._files[served] = PREFIX + served, found

    def address(self, name: str) -> str:
        """Return the address of the file ``name``.

        Raises:
            KeyError: There is none: a mistake in a template.
        """
        return self._addresses[name]

    def serve(self, request: Request) -> Response:
        """Return the file that the path names.

        Raises:
            QueryError: Q041 when there is none.
        """
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise QueryError("Q041", what=("such address", "该地址"))
        headers = {"ETag": f'"{found.digest}"', "Vary": "Accept-Encoding"}
        if found.digest in request.headers.get("if-none-match", ""):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        content = found.plain
        if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = found.packed, "gzip"
        return Response(content, HTTPStatus.OK, headers, found.kind)


def _read(file: Path) -> StaticFile:
    plain = file.read_bytes()
    worth = len(plain) >= _GZIP_BYTES_MIN
    packed = gzip.compress(plain, mtime=0) if worth else b""
    return StaticFile(
        _KINDS[file.suffix], hashlib.sha256(plain).hexdigest()[:_DIGITS], plain, packed
    )
