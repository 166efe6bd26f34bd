"""Whatever is done to a stored or exported log is found, and the entry is named."""

import base64
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from middleplatform.audit import verify
from middleplatform.audit.entry import canonical
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SHA256, SM3, Frontier, node_position
from middleplatform.errors import AuditError

SIZE = 12


@pytest.fixture
def stored(log_path, log, record):
    """A closed log of twelve entries, one checkpoint each, without its triggers."""
    for number in range(SIZE):
        log.append(record(number))
    log.close()
    return log_path


def untriggered(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    ).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    return connection


def recompute(connection: sqlite3.Connection) -> None:
    """Make every stored node fit the entries, as a forger without the key would."""
    connection.execute("DELETE FROM nodes")
    frontier = Frontier(SHA256)
    for (leaf,) in connection.execute("SELECT leaf FROM entries ORDER BY position").fetchall():
        for level, index, value in frontier.append(SHA256.leaf(leaf)):
            connection.execute(
                "INSERT INTO nodes VALUES (?, ?)", (node_position(level, index), value)
            )


def alter(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE entries SET leaf = CAST(replace(leaf, 'lin', 'wan') AS BLOB) WHERE position = 5"
    )


def alter_and_recompute(connection: sqlite3.Connection) -> None:
    alter(connection)
    recompute(connection)


def alter_index(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE entries SET leaf = CAST(replace(leaf, '\"index\":5', '\"index\":50') AS BLOB) WHERE position = 5"
    )


def drop(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM entries WHERE position = 5")


def drop_and_close_up(connection: sqlite3.Connection) -> None:
    drop(connection)
    for position in range(6, SIZE):
        connection.execute(
            "UPDATE entries SET position = ? WHERE position = ?", (position - 1, position)
        )


def swap(connection: sqlite3.Connection) -> None:
    for old, new in ((5, 99), (8, 5), (99, 8)):
        connection.execute("UPDATE entries SET position = ? WHERE position = ?", (new, old))


def truncate(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM entries WHERE position >= 5")


def truncate_with_nodes(connection: sqlite3.Connection) -> None:
    truncate(connection)
    recompute(connection)


def add(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO entries SELECT 12, leaf FROM entries WHERE position = 11")


def add_with_nodes(connection: sqlite3.Connection) -> None:
    add(connection)
    recompute(connection)


def break_node(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE nodes SET hash = zeroblob(32) WHERE position = ?", (node_position(0, 5),)
    )


def drop_node(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM nodes WHERE position = ?", (node_position(0, 5),))


def add_node(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO nodes VALUES (999, zeroblob(32))")


def edit_checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE checkpoints SET note = replace(note, char(10) || '12' || char(10), char(10) || '13' || char(10))"
    )


def move_checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE checkpoints SET size = 99 WHERE size = 12")


def drop_checkpoints(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM checkpoints")


def drop_newest_checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM checkpoints WHERE size = 12")


def only_triggers(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (alter, "entry 5 was altered"), (alter_and_recompute, "entry from 5 to 5 was altered"),
        (alter_index, "entry 5 was altered"), (drop, "entry 5 was dropped"), (drop_and_close_up, "entry 5 was dropped"),
        (swap, "entry 5 was reordered"), (truncate, "entries 5 to 11 are missing"),
        (truncate_with_nodes, "entries 5 to 11 are missing"), (add, "entry 12 has no tree node"),
        (add_with_nodes, "entry 12 is in no checkpoint"), (break_node, "entry 5 was altered"),
        (drop_node, "entry 5 has no tree node"), (add_node, "nodes without entries"),
        (edit_checkpoint, "checkpoint's signature"), (move_checkpoint, "checkpoint 99 was altered"),
        (drop_checkpoints, "no checkpoint"), (drop_newest_checkpoint, "entry 11 is in no checkpoint"),
        (only_triggers, "triggers were altered"),
    ],
)  # fmt: skip
def test_a_tampered_log_does_not_open_and_says_what_breaks(stored, signer, clock, tamper, found):
    connection = untriggered(stored)
    tamper(connection)
    connection.close()
    with pytest.raises(AuditError, match=found) as caught:
        AuditLog.open(stored, signer, clock)
    assert caught.value.code == "A002"
    assert any("\u4e00" <= mark <= "\u9fff" for mark in caught.value.message("zh"))


def test_tampering_under_a_running_log_is_found_by_verify(log_path, log, record):
    for number in range(SIZE):
        log.append(record(number))
    connection = untriggered(log_path)
    alter(connection)
    connection.close()
    with pytest.raises(AuditError, match="entry 5 was altered"):
        log.verify()


def test_flipped_bytes_anywhere_in_the_file_never_open_as_another_log(
    stored, signer, clock, record
):
    whole = stored.read_bytes()
    for place in range(100, len(whole), len(whole) // 61):
        broken = bytearray(whole)
        broken[place] ^= 0x55
        stored.write_bytes(broken)
        try:
            with AuditLog.open(stored, signer, clock) as log:
                held = [entry.record for entry in log.entries()]
        except AuditError:
            continue
        assert held == [record(number) for number in range(SIZE)]  # free space, or a page's padding


# The export, and the auditor's script in a process of its own.


@pytest.fixture
def exported(tmp_path, log, record, signer):
    for number in range(SIZE):
        log.append(record(number))
    path = tmp_path / "export.jsonl"
    assert log.export(path) == SIZE
    (tmp_path / "key.pub").write_text(signer.key.text() + "\n")
    return path


def run(path: Path, *more: str) -> tuple[int, str]:
    """Run the script alone: isolated mode, a copy in an empty folder, nothing of ours to import."""
    folder = path.parent / "auditor"
    folder.mkdir(exist_ok=True)
    shutil.copy(verify.__file__, folder / "verify.py")
    done = subprocess.run(
        [sys.executable, "-I", "verify.py", str(path), str(path.parent / "key.pub"), *more],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == "" or done.returncode == 2
    return done.returncode, done.stdout.strip()


def test_the_auditors_script_verifies_an_export_alone(exported, log, tmp_path):
    assert run(exported) == (0, f"verified: {SIZE} entries of {log.origin}")
    for size in (0, 1, 7, SIZE):
        (tmp_path / "older").write_text(log.checkpoint_at(size))
        assert run(exported, "--against", str(tmp_path / "older"))[0] == 0


def test_the_auditors_script_imports_nothing_of_ours_and_is_short():
    text = Path(verify.__file__).read_text()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imports if "middleplatform" in line]
    third = [line for line in imports if "cryptography" in line]
    assert len(third) == 2
    assert len(text.splitlines()) <= 300


def rewritten(line: bytes, **parts: object) -> bytes:
    """Change an entry and make its leaf hash fit."""
    value = json.loads(line)
    value["entry"] |= parts
    value["leaf_hash"] = SHA256.leaf(canonical(value["entry"])).hex()
    return canonical(value) + b"\n"


def entry_line(index: int) -> int:
    return 2 + 2 * index  # head, checkpoint 0, then entry and checkpoint by turns


def renumbered(lines: list[bytes]) -> list[bytes]:
    """Drop entry 5 and number the rest anew, hashes and all."""
    kept = lines[: entry_line(5)]
    for index in range(5, SIZE - 1):
        value = json.loads(lines[entry_line(index + 1)])
        value["entry"]["index"] = value["index"] = index
        value["leaf_hash"] = SHA256.leaf(canonical(value["entry"])).hex()
        kept += [canonical(value) + b"\n", lines[entry_line(index) + 1]]
    return [*kept, lines[-1]]


E5, E8 = entry_line(5), entry_line(8)
EXPORTS: list[tuple[str, Callable[[list[bytes]], list[bytes]], int, str]] = [
    ("alter", lambda x: [*x[:E5], x[E5].replace(b"lin", b"wan"), *x[E5 + 1 :]], 3, "entry 5 was altered"),
    ("alter hash", lambda x: [*x[:E5], rewritten(x[E5], event="refused"), *x[E5 + 1 :]], 3, "entry from 5 to 5"),
    ("blank", lambda x: [*x[:E5], x[E5].replace(b'":"', b'": "', 1), *x[E5 + 1 :]], 3, "entry 5"),
    ("second key", lambda x: [*x[:E5], b'{"entry":{},' + x[E5][1:], *x[E5 + 1 :]], 3, "entry 5"),
    ("remark", lambda x: [*x[:E5], x[E5][:-2] + b',"remark":"fine"}\n', *x[E5 + 1 :]], 3, "entry 5"),
    ("nonsense", lambda x: [*x[:E5], b"\xff\n", *x[E5 + 1 :]], 3, "entry 5"),
    ("deep", lambda x: [*x[:E5], b"[" * 200_000 + b"\n", *x[E5 + 1 :]], 3, "entry 5"),
    ("drop", lambda x: [*x[:E5], *x[E5 + 1 :]], 4, "entry 5 was dropped"),
    ("drop both", lambda x: [*x[:E5], *x[E5 + 2 :]], 4, "entry 5 was dropped"),
    ("drop first", lambda x: [*x[:2], *x[4:]], 4, "entry 0 was dropped"),
    ("drop last", lambda x: [*x[:-2], x[-1]], 4, "entry 11 was dropped"),
    ("renumber", renumbered, 3, "entry from 5 to 5 was altered"),
    ("swap", lambda x: [*x[:E5], x[E8], *x[E5 + 1 : E8], x[E5], *x[E8 + 1 :]], 5, "entry 5 was reordered"),
    ("repeat", lambda x: [*x[: E5 + 1], x[E5], *x[E5 + 1 :]], 5, "entry 6 was reordered"),
    ("swap checkpoints", lambda x: [*x[: E5 + 1], x[E5 - 1], *x[E5 + 2 :]], 5, "checkpoint 5 was reordered"),
    ("cut", lambda x: x[:E5], 6, "entries 5 to 11 are missing"),
    ("cut to the head", lambda x: x[:1], 6, "entries 0 to 11 are missing"),
    ("cut in a line", lambda x: [*x[:E5], x[E5][:40]], 6, "cut off"),
    ("edit checkpoint", lambda x: [*x[:-1], x[-1].replace(b"\\n12\\n", b"\\n13\\n")], 7, "checkpoint 12"),
    ("edit its size", lambda x: [*x[:-1], x[-1].replace(b'"size":12', b'"size":11')], 7, "checkpoint 11"),
    ("no last checkpoint", lambda x: x[:-1], 7, "entry 11 is in no checkpoint"),
    ("garbled checkpoint", lambda x: [*x[:-1], x[-1].replace(b"\\n\\n", b"\\n")], 7, "checkpoint 12"),
    ("unsigned", lambda x: [*x[:-1], canonical({"checkpoint": json.loads(x[-1])["checkpoint"].replace("— a", "— b"),
                                                "size": 12}) + b"\n"], 7, "not signed by the log"),
    ("other origin", lambda x: [x[0].replace(b"audit.example", b"other.example"), *x[1:]], 7, "another log"),
    ("other hash", lambda x: [x[0].replace(b"sha256", b"sm3"), *x[1:]], 3, "altered"),
    ("fewer announced", lambda x: [x[0].replace(b'"size":12', b'"size":9'), *x[1:]], 7, "entry 9 is in no checkpoint"),
    ("no export", lambda x: x[1:], 2, "not an export"),
    ("empty", lambda _: [], 2, "not an export"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tamper", "exit_code", "found"),
    [case[1:] for case in EXPORTS],
    ids=[case[0] for case in EXPORTS],
)
def test_a_tampered_export_is_found_and_named(exported, tamper, exit_code, found):
    lines = exported.read_bytes().splitlines(keepends=True)
    changed = tamper(lines)
    assert changed != lines
    exported.write_bytes(b"".join(changed))
    keys = verify.read_keys((exported.parent / "key.pub").read_text())
    with pytest.raises(verify.Broken) as caught:
        verify.verify(exported, keys)
    assert caught.value.args[0] == exit_code, caught.value.args
    assert found in caught.value.args[1]


def test_the_script_ends_with_the_code_of_what_it_found(exported):
    lines = exported.read_bytes().splitlines(keepends=True)
    exported.write_bytes(b"".join([*lines[:E5], *lines[E5 + 1 :]]))
    assert run(exported) == (4, "BROKEN: entry 5 was dropped: checkpoint 6 follows")
    assert run(exported.with_name("missing"))[0] == 2
    (exported.parent / "key.pub").write_text("")
    assert run(exported)[0] == 2


def test_a_log_set_back_to_an_older_checkpoint_is_found_against_a_newer_one(
    exported, log, tmp_path
):
    lines = exported.read_bytes().splitlines(keepends=True)
    head = lines[0].replace(b'"size":12', b'"size":5')
    exported.write_bytes(b"".join([head, *lines[1:E5]]))
    assert run(exported)[0] == 0  # nothing inside can show it ...
    (tmp_path / "newer").write_text(log.checkpoint())
    assert run(exported, "--against", str(tmp_path / "newer")) == (
        6,
        "BROKEN: truncated: entries 5 to 11 are missing",
    )  # fmt: skip ... a checkpoint from elsewhere does


def test_another_past_is_found_against_the_checkpoint_of_the_first(
    exported, tmp_path, signer, clock, record
):
    with AuditLog.open(tmp_path / "other.sqlite", signer, clock) as other:
        for number in (0, 1, 7):
            other.append(record(number))
        (tmp_path / "other").write_text(other.checkpoint())
    assert run(exported, "--against", str(tmp_path / "other")) == (
        8, "BROKEN: the first 3 entries are not those that were signed before",
    )  # fmt: skip
    (tmp_path / "forged").write_text((tmp_path / "other").read_text().replace("\n3\n", "\n2\n"))
    assert run(exported, "--against", str(tmp_path / "forged"))[0] == 7


def test_an_export_under_sm3_verifies(tmp_path, signer, clock, record):
    with AuditLog.open(tmp_path / "sm3.sqlite", signer, clock, profile=SM3) as log:
        for number in range(5):
            log.append(record(number))
        log.export(tmp_path / "sm3.jsonl")
    (tmp_path / "key.pub").write_text(signer.key.text() + "\n")
    assert run(tmp_path / "sm3.jsonl")[0] == 0


def test_an_export_with_cosignatures_verifies(exported, log, make_witness_signer):
    witness = make_witness_signer("tax")
    body = log.checkpoint().split("\n\n")[0] + "\n"
    log.add_cosignature(log.size, witness.cosign(body, 1), witness.key)
    log.export(exported)
    assert witness.name in exported.read_text()
    assert run(exported)[0] == 0


def test_a_key_file_with_a_wrong_id_or_two_logs_is_refused(signer):
    name, key_id, body = signer.key.text().split("+", 2)
    other = base64.b64encode(b"\x04" + bytes(32)).decode()
    for text in (f"{name}+00000000+{body}", f"{name}+{key_id}+{other}", "x"):
        with pytest.raises(ValueError, match=r"verifier|unpack"):
            verify.read_keys(text)


def test_verify_runs_in_process_as_the_command_line_does(exported, monkeypatch, capsys):
    key = str(exported.parent / "key.pub")
    monkeypatch.setattr(sys, "argv", ["verify.py", str(exported), key])
    assert verify.main() == 0
    assert capsys.readouterr().out.startswith("verified: 12 entries")
