"""Verify an exported audit log, or the report of one decision, without trusting whoever made it.

    python verify.py export.jsonl key.pub [--against older-checkpoint-or-report]
    python verify.py report.json key.pub [--against checkpoint]      (or report.html)

Needs Python 3.11 and ``cryptography`` (one call: the Ed25519 check); nothing of the platform.

1. Every line must be canonical JSON (sorted keys, no blanks): one spelling hides nothing.
2. Every entry must stand at its index, and hash to the leaf hash beside it.
3. At every checkpoint line, the Merkle root of all entries so far (RFC 6962, section 2.1) must be
   the signed one, and a key in ``key.pub`` (one C2SP verifier key a line) must have signed it.
4. The last checkpoint must cover all entries, as many as the first line announces.
5. With ``--against``: that older checkpoint, kept elsewhere, must be signed and be the root of as
   many first entries. Only this shows a log set back as a whole, or two pasts for two readers.

Of a report: its signature covers every byte; its checkpoint is signed; each entry that it rests on
is in the tree of that checkpoint (RFC 9162, section 2.1.3.2); its counts are those of the entry.

Exit code: 0 verified; 2 usage, or no export; 3 altered; 4 dropped; 5 reordered; 6 truncated;
7 bad checkpoint or signature; 8 contradicts. Spec: docs/spec/audit-log.md, decision-report.md
"""

import argparse
import base64
import hashlib
import html
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

UNREADABLE, ALTERED, DROPPED, REORDERED, TRUNCATED, BAD_CHECKPOINT, CONTRADICTED = range(2, 9)
REPORT = "middleplatform-decision-report/v1"
JSON_OPENS, SIGNATURE_OPENS = '<pre id="report">', '<pre id="signature">'
CLOSES = "</pre>\n</main>\n</body>\n</html>\n"
REPORT_OPENS = ("<!doctype html>", '{"approvals":')
Key = tuple[str, bytes, bytes]  # name, key id, public key
Line = dict[str, object]


class Broken(Exception):  # noqa: N818 - what the auditor reads is "broken", not "error"
    """The log does not verify: (exit code, sentence)."""


def canonical(value: object) -> bytes:
    """Return the one JSON spelling of ``value``."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


class Edge:
    """The right edge of the growing tree: (leaves covered, hash) of each complete subtree."""

    def __init__(self, name: str) -> None:
        self.name = name  # hash function: sha256 or sm3
        self.parts: list[tuple[int, bytes]] = []

    def digest(self, data: bytes) -> bytes:
        """Hash with the function that the export names."""
        return hashlib.new(self.name, data).digest()

    def append(self, leaf_hash: bytes) -> None:
        """Add a leaf, joining subtrees of equal size."""
        count, value = 1, leaf_hash
        while self.parts and self.parts[-1][0] == count:
            count, value = 2 * count, self.digest(b"\x01" + self.parts.pop()[1] + value)
        self.parts.append((count, value))

    def root(self) -> bytes:
        """Return the root: the parts joined from the right."""
        value = self.parts[-1][1] if self.parts else self.digest(b"")
        for _, left in reversed(self.parts[:-1]):
            value = self.digest(b"\x01" + left + value)
        return value


def read_keys(text: str) -> list[Key]:
    """Read verifier keys: ``name+keyid+base64(0x01 || public key)``, one a line."""
    keys: list[Key] = []
    for name, key_id, body in (line.split("+", 2) for line in text.splitlines()):
        raw = base64.b64decode(body, validate=True)
        wanted = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if raw[:1] != b"\x01" or wanted.hex() != key_id or (keys and keys[0][0] != name):
            raise ValueError("the key file must hold verifier keys of one log")
        keys.append((name, wanted, raw[1:]))
    return keys


def read_checkpoint(note: str, keys: list[Key], what: str) -> tuple[int, bytes]:
    """Check a signed note and return its (size, root hash)."""
    signed = False
    try:
        body, _, tail = note.rpartition("\n\n")
        origin, size, root = body.split("\n")
        value = int(size), base64.b64decode(root, validate=True)
        same = body == f"{origin}\n{value[0]}\n{base64.b64encode(value[1]).decode()}"
        for line in tail.removesuffix("\n").split("\n"):
            _, signer, encoded = line.split(" ")
            blob = base64.b64decode(encoded, validate=True)
            for name, key_id, public in keys:
                if name == signer == origin and blob[:4] == key_id:
                    Ed25519PublicKey.from_public_bytes(public).verify(
                        blob[4:], f"{body}\n".encode()
                    )
                    signed = True
    except (ValueError, InvalidSignature):
        raise Broken(BAD_CHECKPOINT, f"{what} is malformed or wrongly signed") from None
    if not (signed and same):
        raise Broken(BAD_CHECKPOINT, f"{what} is not signed by the log")
    return value


def inclusion_root(edge: Edge, leaf: bytes, index: int, size: int, proof: list[str]) -> bytes:
    """Return the root that a leaf and its audit path (hexadecimal, bottom up) lead to."""
    first, last, value = index, size - 1, leaf
    for part in map(bytes.fromhex, proof):
        if not 0 <= first <= last or not last:
            return b""
        left = first & 1 or first == last
        value = edge.digest(b"\x01" + (part + value if left else value + part))
        while left and first and not first & 1:
            first, last = first >> 1, last >> 1
        first, last = first >> 1, last >> 1
    return value if first == last == 0 else b""


def check_signed(note: str, body: str, keys: list[Key]) -> None:
    """Check that ``note`` is ``body`` with one signature by one of ``keys``, spelled canonically."""
    try:
        blob = base64.b64decode(note.rstrip("\n").rpartition(" ")[2], validate=True)
        name, key_id, public = next(key for key in keys if key[1] == blob[:4])
        line = f"— {name} {base64.b64encode(key_id + blob[4:]).decode()}\n"
        Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], body.encode())
        good = note == f"{body}\n{line}"
    except (ValueError, StopIteration, InvalidSignature):
        good = False
    if not good:
        raise Broken(BAD_CHECKPOINT, "the report was altered, or is not signed by the log's key")


def statement(kind: str, content: bytes, origin: object) -> str:
    """Return what is signed of a report: its kind (json or html) and the SHA-256 of its bytes."""
    return f"{REPORT}\n{origin}\n{kind} {hashlib.sha256(content).hexdigest()}\n"


def report_json(text: str, keys: list[Key]) -> str:
    """Return the JSON of a report; of a page, whose every byte is checked first."""
    if not text.startswith("<!doctype html>"):
        return text
    page, opens, note = text.rpartition(SIGNATURE_OPENS)
    signed = html.unescape(note.removesuffix(CLOSES))
    if html.escape(signed, quote=False) + CLOSES != note:
        raise Broken(ALTERED, "the page was altered after its last line")
    check_signed(signed, statement("html", (page + opens).encode(), keys[0][0]), keys)
    return html.unescape(page.partition(JSON_OPENS)[2].partition("</pre>")[0])


def verify_report(text: str, keys: list[Key], against: str | None = None) -> tuple[Line, int]:
    """Verify a report; return the entry of the decision and the size of the log then."""
    raw = report_json(text, keys)
    try:
        value = json.loads(raw)
        same = canonical(value).decode() + "\n" == raw
        note, entries, checkpoint = value.pop("signature"), value["entries"], value["checkpoint"]
        edge = Edge({"sha256": "sha256", "sm3": "sm3"}[value["hash"]])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Broken(ALTERED, "not a report of a decision, or it was altered") from None
    check_signed(str(note), statement("json", canonical(value), keys[0][0]), keys)
    size, root = read_checkpoint(str(checkpoint), keys, "the report's checkpoint")
    if not same or value["format"] != REPORT or value["origin"] != keys[0][0]:
        raise Broken(ALTERED, "the report is of another form or another log")
    for each in entries:
        leaf = edge.digest(b"\x00" + canonical(each["entry"]))
        index = each["entry"]["index"]
        if inclusion_root(edge, leaf, index, size, each["proof"]) != root:
            raise Broken(ALTERED, f"entry {index} is not the one that was logged")
    end, asked = entries[-1]["entry"], {each["entry"]["body"].get("query_id") for each in entries}
    if end["event"] not in ("released", "refused", "failed") or len(asked) != 1:
        raise Broken(ALTERED, "the entries are not those of one decision")
    body = end["body"]
    withheld = sum(each[2] for each in body.get("withheld", []))
    counts = {"released": body.get("released_values", 0), "suppressed": withheld}
    if (value["counts"], value["outcome"]) != (counts, end["event"]):
        raise Broken(ALTERED, "the report does not say what the entry says")
    if against and read_checkpoint(against, keys, "the other checkpoint") != (size, root):
        raise Broken(CONTRADICTED, f"the other checkpoint is not that of the first {size} entries")
    return end, size


def read_lines(path: Path) -> Iterator[Line]:
    """Yield each line's value, or an empty one where it is not canonical JSON."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                raise Broken(TRUNCATED, f"truncated: line {number} is cut off")
            try:
                value = json.loads(line)
                same = isinstance(value, dict) and canonical(value) + b"\n" == line
            except (ValueError, RecursionError):
                same = False
            yield value if same else {}


def check_entry(value: Line, index: int, edge: Edge, path: Path) -> None:
    """Check that an entry line is the one for ``index`` and add it to the tree."""
    entry = value["entry"]
    leaf_hash = edge.digest(b"\x00" + canonical(entry))
    inner = entry.get("index") if isinstance(entry, dict) else None
    if leaf_hash.hex() != value["leaf_hash"] or inner != value["index"]:
        raise Broken(ALTERED, f"entry {index} was altered")
    if inner != index:  # a sound line, but another's: does the one for here stand elsewhere?
        if any(other.get("index") == index for other in read_lines(path)):
            raise Broken(REORDERED, f"entry {index} was reordered: {inner} stands in its place")
        raise Broken(DROPPED, f"entry {index} was dropped: entry {inner} follows")
    edge.append(leaf_hash)


def check_checkpoint(value: Line, keys: list[Key], edge: Edge, covered: int, size: int) -> None:
    """Check a checkpoint line after ``size`` entries; the one before covered ``covered``."""
    claimed = value["size"]
    signed, root = read_checkpoint(str(value["checkpoint"]), keys, f"checkpoint {claimed}")
    if signed != claimed:
        raise Broken(BAD_CHECKPOINT, f"checkpoint {claimed} was altered: it is {signed}'s")
    if signed < size:
        raise Broken(REORDERED, f"checkpoint {signed} was reordered: it follows {size} entries")
    if signed > size:
        raise Broken(DROPPED, f"entry {size} was dropped: checkpoint {signed} follows")
    if root != edge.root():
        raise Broken(ALTERED, f"an entry from {covered} to {size - 1} was altered")


def verify(path: Path, keys: list[Key], against: str | None = None) -> int:
    """Verify an export and return its number of entries; raise Broken at the first fault."""
    old, old_root = read_checkpoint(against, keys, "the older checkpoint") if against else (0, b"")
    lines = read_lines(path)
    head = next(lines, {})  # trusted for nothing but the order of messages: the signature decides
    name, total = str(head.get("hash")), head.get("size")
    if head.get("format") != "middleplatform-audit-log/v1" or name not in ("sha256", "sm3"):
        raise Broken(UNREADABLE, "not an export of an audit log, or its first line was altered")
    if not isinstance(total, int) or head.get("origin") != keys[0][0]:
        raise Broken(BAD_CHECKPOINT, "the first line announces another log than the key's")
    edge, size, covered = Edge(name), 0, -1
    seen = edge.root() if against else b""  # the right answer for an older checkpoint of size 0
    for number, value in enumerate(lines, 2):
        if value.keys() == {"entry", "index", "leaf_hash"}:
            check_entry(value, size, edge, path)
            size += 1
            seen = edge.root() if size == old else seen
        elif value.keys() == {"checkpoint", "size"}:
            check_checkpoint(value, keys, edge, max(covered, 0), size)
            covered = size
        else:
            raise Broken(ALTERED, f"line {number} was altered: entry {size} or a checkpoint")
    if size < total or covered < 0 or size < old:
        raise Broken(TRUNCATED, f"truncated: entries {size} to {max(total, old) - 1} are missing")
    if not covered == size == total:
        raise Broken(BAD_CHECKPOINT, f"entry {min(covered, total)} is in no checkpoint")
    if seen != old_root:
        raise Broken(CONTRADICTED, f"the first {old} entries are not those that were signed before")
    return size


def checkpoint_of(text: str | None) -> str | None:
    """Return the checkpoint in ``text``, which may be a report."""
    if text and text.startswith(REPORT_OPENS):
        page = text.partition(JSON_OPENS)[2].partition("</pre>")[0]
        return str(json.loads(html.unescape(page) or text)["checkpoint"])
    return text


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser(description="Verify an exported audit log or a report.")
    for name in ("export", "key", "--against"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    try:
        keys = read_keys(options.key.read_text(encoding="utf-8"))
        against = options.against.read_bytes().decode() if options.against else None
        with options.export.open("rb") as file:
            reported = file.read(16).decode(errors="replace").startswith(REPORT_OPENS)
        if reported:
            end, size = verify_report(options.export.read_bytes().decode(), keys, against)
            sys.stdout.write(f"report of entry {end['index']}, {end['event']}: ")
        else:
            size = verify(options.export, keys, checkpoint_of(against))
    except Broken as fault:
        sys.stdout.write(f"BROKEN: {fault.args[1]}\n")
        return int(fault.args[0])
    except (OSError, ValueError, LookupError, TypeError) as error:
        sys.stdout.write(f"cannot verify: {error}\n")
        return UNREADABLE
    sys.stdout.write(f"verified: {size} entries of {keys[0][0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
