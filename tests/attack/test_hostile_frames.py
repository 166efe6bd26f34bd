"""A gateway that lies below the fragments: messages, HTTP and certificates. Each table reads (name, attack, answer).

What is refused here was never read as a fragment: it stands in the operator's log and in the metrics. The
department's own log has what the gateway's key signed for this node: what came late, twice, or makes no sense.
"""

import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from node_world import until

from middleplatform.enrolment import quick
from middleplatform.enrolment.folder import Folder
from middleplatform.wire.frame import REPLY, encode
from tests.attack.hostile import Said, assert_bare, hostile_gateway

GA = "ga"
LIMITS = {"body_mb": 1}
MIB = 1 << 20


@pytest.fixture(scope="module")
def hostile(demo_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("frames")
    with hostile_gateway(root, demo_data, (GA, "tax"), LIMITS) as turned:
        yield turned


def named(table):
    return [pytest.param(*row[1:], id=row[0]) for row in table]


def status(answer: bytes) -> str:
    """Return the status of the first HTTP answer, empty where the node hung up without one."""
    return answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else ""


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


# --- messages -----------------------------------------------------------------------------------------------------


def flipped(place):
    """Change one bit of a good message; a negative place counts from its end."""

    def made(h):
        raw = bytearray(h.frame(GA, "answer", parts=(b"fragment", b"signature")))
        raw[place] ^= 1
        return bytes(raw)

    return made


def header(change):
    """Sign another header than ``encode`` would write."""

    def made(h):
        message = h.message(GA)
        good = {
            "kind": message.kind, "name": message.name, "sender": message.sender, "receiver": message.receiver,
            "nonce": message.nonce, "at": message.at, "fields": {}, "parts": [],
        }  # fmt: skip
        raw = change(good)
        if not isinstance(raw, bytes):
            raw = json.dumps(
                raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
        return b"mpw1" + len(raw).to_bytes(4, "big") + raw + h.key.sign("wire call", raw)

    return made


MESSAGES = [
    ("for another node", lambda h: h.frame("tax")),
    ("from another party", lambda h: h.frame(GA, sender="tax")),
    ("a reply", lambda h: encode(h.message(GA, kind=REPLY), h.key)),
    ("for another call", lambda h: h.frame(GA, "drop", fields={"key": "q.0.1"})),
    ("signed by a department", lambda h: encode(h.message(GA), h.other("tax").identity)),
    ("signed for another purpose", lambda h: h.frame(GA)[:-64] + h.key.sign("fragment", h.frame(GA)[8:-64])),
    ("another magic", lambda h: b"mpw2" + h.frame(GA)[4:]),
    ("a bit of the header", flipped(20)),
    ("a bit of the last part", flipped(-1)),
    ("a bit of the first part", flipped(-16)),
    ("cut by a byte", lambda h: h.frame(GA)[:-1]),
    ("cut in the header", lambda h: h.frame(GA)[:40]),
    ("one byte more", lambda h: h.frame(GA) + b"\0"),
    ("twice in one", lambda h: h.frame(GA) * 2),
    ("nothing", lambda _: b""),
    ("a header of four gigabytes", lambda h: b"mpw1" + b"\xff" * 4 + h.frame(GA)[8:]),
    ("a header too large", header(lambda good: {**good, "fields": {"x": "x" * 70_000}})),
    ("a key more", header(lambda good: {**good, "rows": True})),
    ("a key less", header(lambda good: {key: good[key] for key in good if key != "at"})),
    ("a key twice", header(lambda good: json.dumps(good, sort_keys=True, separators=(",", ":")).encode()[:-1] + b',"name":"answer"}')),
    ("spaces", header(lambda good: json.dumps(good, sort_keys=True).encode())),
    ("fields that are a list", header(lambda good: {**good, "fields": []})),
    ("fields without end", header(lambda _: b'{"fields":' + b"[" * 30_000)),
    ("a number without end", header(lambda _: b'{"fields":{"x":' + b"9" * 9_999 + b"}}")),
    ("a part of less than nothing", header(lambda good: {**good, "parts": [[-1, "0" * 64]]})),
    ("a part that is not there", header(lambda good: {**good, "parts": [[2**60, "0" * 64]]})),
    ("too many parts", header(lambda good: {**good, "parts": [[0, "0" * 64]] * 17})),
    ("a nonce that is a path", header(lambda good: {**good, "nonce": "../../../../../../../../etc/pass"})),
    ("a short nonce", header(lambda good: {**good, "nonce": "00"})),
    ("no JSON", header(lambda _: b"SELECT * FROM ga.population")),
]  # fmt: skip


@pytest.mark.parametrize("made", named(MESSAGES))
def test_what_is_no_message_for_this_node_is_told_nothing(hostile, made):
    log, counted = len(hostile.log(GA)), hostile.refusals(GA).get("message", 0)
    answer = hostile.post(GA, made(hostile))
    assert (status(answer), body(answer)) == ("400", b"")
    assert len(hostile.log(GA)) == log
    assert hostile.refusals(GA)["message"] == counted + 1
    assert hostile.operator_log(GA)[-1]["said"].startswith("a message was refused")
    hostile.assert_alive(GA)


def shifted(**shift):
    def moment():
        return (datetime.now(UTC) + timedelta(**shift)).isoformat()

    return moment


CALLS = [
    # name, call, what the message has otherwise, code
    ("six minutes old", "status", {"at": shifted(minutes=-6)}, "X005"),
    ("six minutes early", "status", {"at": shifted(minutes=6, seconds=1)}, "X005"),
    ("without an hour's place", "status", {"at": lambda: "2026-06-01T00:00:00"}, "X001"),
    ("without a moment", "status", {"at": lambda: "soon"}, "X001"),
    ("a fragment that is missing", "answer", {}, "X001"),
    ("a signature that is missing", "answer", {"parts": lambda: (b"{}",)}, "X001"),
    ("a round that is a number", "codes", {"fields": lambda: {"key": 7}}, "X001"),
    ("a round of nobody", "codes", {"fields": lambda: {"key": "q.0.1"}}, "X001"),
    ("hellos that are cut", "agree", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b"\0\0\0\x09x",)}, "X001"),
    ("hellos of four gigabytes", "agree", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b"\xff" * 8,)}, "X001"),
    ("hellos without number", "agree", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (bytes(80_000),)}, "X001"),
    ("totals that are no list", "ladder", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b"{}",)}, "X001"),
    ("totals without end", "ladder", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b"[" * 200_000,)}, "X001"),
    ("totals that are texts", "ladder", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b'[["1"]]',)}, "X001"),
    ("a total of ten thousand digits", "ladder", {"fields": lambda: {"key": "q.0.1"}, "parts": lambda: (b"[[" + b"9" * 10_000 + b"]]",)}, "X001"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "code"), named(CALLS))
def test_call_that_is_late_or_makes_no_sense_is_refused_by_a_signed_reply(
    hostile, name, changes, code
):
    made = {key: change() for key, change in changes.items()}
    log = len(hostile.log(GA))
    answer = hostile.post(GA, hostile.frame(GA, name, **made), name)
    assert status(answer) == "200"
    assert error_of(answer)["code"] == code
    assert [each.body["code"] for each in hostile.log(GA)[log:]] == [code], "the gateway signed it"
    assert hostile.operator_log(GA)[-1]["said"].startswith(f"{name} {code}")
    hostile.assert_alive(GA)


def error_of(answer):
    raw = body(answer)
    assert_bare(Said(raw=raw))
    length = int.from_bytes(raw[4:8], "big")
    return json.loads(raw[8 : 8 + length])["fields"]["error"]


def test_message_is_served_once_also_with_its_fragment_and_on_another_connection(hostile):
    fragment = hostile.fragment(GA).to_bytes()
    frame = hostile.frame(GA, "answer", parts=(fragment, hostile.signed(fragment)))
    assert len(body(hostile.post(GA, frame, "answer"))) > 1_000, "cells came"
    log = len(hostile.log(GA))
    assert error_of(hostile.post(GA, frame, "answer"))["code"] == "X002"
    again = hostile.frame(GA, "answer", parts=(fragment, hostile.signed(fragment)))
    assert error_of(hostile.post(GA, again, "answer"))["code"] == "X002"
    message, read = hostile.log(GA)[log:]
    assert (
        (message.event, message.body["code"])
        == (read.event, read.body["code"])
        == ("refused", "X002")
    )
    assert message.body["message"] == sha256(frame).hexdigest(), "it was not read again"
    assert read.body["sql"]


# --- HTTP ---------------------------------------------------------------------------------------------------------


def http(line="POST /v1/status HTTP/1.1", headers=("Host: node",), content=b""):
    return lambda _: ("\r\n".join([line, *headers]) + "\r\n\r\n").encode("latin-1") + content


def with_length(*more, length, line="POST /v1/status HTTP/1.1"):
    return http(line, ("Host: node", f"Content-Length: {length}", *more))


def smuggled(h):
    """A good message whose length says nothing: the message would be read as another request."""
    inner = h.frame(GA)
    return http(headers=("Host: node", "Content-Length: 0"))(h) + inner


HTTP = [
    # name, bytes, statuses that may come: all refuse
    ("length and chunks", http(headers=("Host: node", "Content-Length: 4", "Transfer-Encoding: chunked"), content=b"0\r\n\r\n"), {"400"}),
    ("chunks and length", http(headers=("Host: node", "Transfer-Encoding: chunked", "Content-Length: 4"), content=b"0\r\n\r\n"), {"400"}),
    ("chunks alone", http(headers=("Host: node", "Transfer-Encoding: chunked"), content=b"4\r\nmpw1\r\n0\r\n\r\n"), {"400"}),
    ("chunks with a bomb of extensions", http(headers=("Host: node", "Transfer-Encoding: chunked"), content=b"1;" + b"x" * MIB), {"400", ""}),  # cut with bytes unread, which may overtake the answer
    ("a coding of nobody", http(headers=("Host: node", "Transfer-Encoding: gzip")), {"400"}),
    ("two lengths", http(headers=("Host: node", "Content-Length: 4", "Content-Length: 5"), content=b"mpw1x"), {"400"}),
    ("a length with a sign", with_length(length="+4"), {"400"}),
    ("a length below nothing", with_length(length="-1"), {"400"}),
    ("a length in hexadecimal", with_length(length="0x10"), {"400"}),
    ("a length beyond numbers", with_length(length="9" * 40), {"400"}),
    ("a message too large", with_length(length=MIB + 1), {"400"}),
    ("no length", http(content=b"mpw1"), {"400"}),
    ("a message behind its end", smuggled, {"400"}),
    ("a space before the colon", http(headers=("Host: node", "Content-Length : 4"), content=b"mpw1"), {"400"}),
    ("a folded header", http(headers=("Host: node", "X: a", " Content-Length: 4"), content=b"mpw1"), {"400"}),
    ("a zero byte", http(headers=("Host: node", "X: \0")), {"400"}),
    ("a line that ends early", lambda _: b"POST /v1/status HTTP/1.1\nHost: node\nContent-Length: 4\n\nmpw1", {"400"}),
    ("another protocol", lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {"400"}),
    ("an upgrade", with_length("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", length=0, line="GET /v1/answer HTTP/1.1"), {"404"}),
    ("an upgrade in the clear", with_length("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", length=0), {"400"}),
    ("no HTTP", lambda _: b"SELECT * FROM ga.population\r\n\r\n", {"400"}),
    ("another greeting", lambda _: b"\x16\x03\x01\x02\x00" * 10, {"400"}),
    *((f"the method {method}", with_length("Connection: close", length=0, line=f"{method} /v1/status HTTP/1.1"), {"404"})
      for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")),
    ("a tunnel", http("CONNECT localhost:22 HTTP/1.1"), {"400", "404", ""}),
    *((f"the path {path}", with_length("Connection: close", length=0, line=f"POST {path} HTTP/1.1"), {"404"})
      for path in ("/", "/v1", "/v1/", "/v1/rows", "/v1/own", "/own", "/metrics", "/health", "/v1/answer/", "/v1//answer",
                   "/v2/answer", "/v1/../v1/answer", "/V1/answer", "/v1/Answer", "/v1/answer%00", "/v1/__class__")),
    ("a header of a megabyte", http(headers=("Host: node", "X: " + "x" * MIB)), {"", "400"}),
    ("headers without number", http(headers=("Host: node", *(f"X{number}: x" for number in range(60_000)))), {"", "400"}),
    ("a path of a megabyte", http("POST /v1/" + "x" * MIB + " HTTP/1.1"), {"", "400", "404"}),
]  # fmt: skip


@pytest.mark.parametrize(("made", "statuses"), named(HTTP))
def test_what_is_no_plain_request_is_refused_and_nothing_told(hostile, made, statuses):
    log = len(hostile.log(GA))
    answer = hostile.speak(GA, made(hostile))
    assert status(answer) in statuses
    assert answer.count(b"HTTP/1.1 ") <= 1, "one answer, then the connection ends"
    assert b"mpw1" not in answer
    assert len(hostile.log(GA)) == log
    hostile.assert_alive(GA)


def test_second_request_in_one_write_is_judged_by_itself(hostile):
    first = hostile.frame(GA)
    head = f"POST /v1/status HTTP/1.1\r\nHost: node\r\nContent-Length: {len(first)}\r\n".encode()
    twice = head + b"\r\n" + first + head + b"Connection: close\r\n\r\n" + first
    answers = hostile.speak(GA, twice).split(b"HTTP/1.1 ")
    assert [each[:3] for each in answers[1:]] == [b"200", b"200"]
    assert b'"roster"' in answers[1]
    assert error_of(b"HTTP/1.1 " + answers[2])["code"] == "X002"


def test_head_that_never_ends_is_cut_off_and_holds_up_nobody(hostile):
    """Byte by byte, 16 KiB and no more; another connection is served meanwhile."""
    with hostile.connected(GA) as slow:
        slow.sendall(b"POST /v1/status HTTP/1.1\r\nHost: node\r\nX: ")
        hostile.assert_alive(GA)
        assert taken(slow, b"x" * 4_096, 8 * MIB) < 4 * MIB, "what lay in buffers, and no more"
    hostile.assert_alive(GA)


def taken(connection, piece, most):
    """Return how many bytes the other side took before it hung up."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(piece)
            sent += len(piece)
    except (ConnectionError, ssl.SSLError):
        pass
    return sent


def test_body_that_comes_slowly_holds_up_nobody(hostile):
    counted = hostile.refusals(GA).get("message", 0)
    with hostile.connected(GA) as slow:
        slow.sendall(b"POST /v1/answer HTTP/1.1\r\nHost: node\r\nContent-Length: 1000\r\n\r\nmpw1")
        hostile.assert_alive(GA)
    until(lambda: hostile.refusals(GA)["message"] == counted + 1, "the end of a message cut short")


def test_many_calls_at_once_are_bounded_and_none_is_forgotten(hostile):
    found = []

    def ask():
        found.append(hostile.ask(GA).code)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert set(found) <= {"", "L001"}
    hostile.assert_alive(GA)


# --- other parties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["answer", "hello", "cells", "reveal", "status", "roster", "own"])
def test_certificate_of_a_department_opens_nothing_not_even_with_the_gateways_message(
    hostile, path
):
    """A message that the gateway signed, on a connection that is not the gateway's."""
    log, counted = len(hostile.log(GA)), hostile.refusals(GA).get("identity", 0)
    fragment = hostile.fragment(GA).to_bytes()
    stolen = hostile.frame(GA, path, parts=(fragment, hostile.signed(fragment)))
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: node\r\nContent-Length: {len(stolen)}\r\n\r\n"
    answer = hostile.speak(GA, head.encode() + stolen, "tax")
    assert (status(answer), body(answer)) == ("403", b"")
    assert len(hostile.log(GA)) == log
    assert hostile.refusals(GA)["identity"] == counted + 1
    assert "a caller was refused" in hostile.operator_log(GA)[-1]["said"]
    hostile.assert_alive(GA)


def test_who_is_not_the_gateway_is_told_so_before_a_message_came(hostile):
    with hostile.connected(GA, "tax") as other:
        other.sendall(b"POST /v1/answer HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000\r\n\r\n")
        assert other.recv(65_536).startswith(b"HTTP/1.1 403 ")
        assert other.recv(65_536) == b""


def test_certificate_of_a_department_buys_no_memory(hostile):
    answer = hostile.speak(GA, http(headers=("Host: node", "X: " + "x" * 8 * MIB))(hostile), "tax")
    assert status(answer) in {"", "403"}
    hostile.assert_alive(GA)


def test_without_a_certificate_there_is_no_connection(hostile):
    log = len(hostile.log(GA))
    assert hostile.speak(GA, http()(hostile), "") == b""
    assert len(hostile.log(GA)) == log
    hostile.assert_alive(GA)


def test_older_tls_and_no_tls_are_no_connection(hostile):
    host, port = hostile.trust.address(GA).split(":")
    context = hostile.trust.client_context(GA)
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.load_verify_locations(cadata=hostile.trust.roster.authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        hostile.shake(host, int(port), older)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert hostile.speak_plainly(GA, http()(hostile)) == b""
    hostile.assert_alive(GA)


# --- rosters ------------------------------------------------------------------------------------------------------


def rosters(hostile):
    """Return (name, document) of rosters that a node must not take; a newer one has been taken before."""
    office = hostile.office()
    old = office.roster_file.read_bytes()
    newer = office.revoke("gateway", "ab" * 16)  # of no certificate: only the number moves
    assert hostile.post_roster(GA, newer) == "200"
    elsewhere = quick.registrar(hostile.foreign())
    foreign = (elsewhere / "roster.json").read_bytes()
    forged = newer.replace(b'"active":false', b'"active":true').replace(b"127.0.0.1", b"127.0.0.2")
    return [
        ("the one before", old),
        ("another platform's", foreign),
        ("a changed one", forged),
        ("cut", newer[:-1]),
        ("no roster", b"{}"),
        ("nothing", b""),
        ("nested without end", b"[" * 100_000),
        ("signed by the gateway", newer.replace(newer[-100:-30], hostile.key.sign("roster", newer).hex()[:70].encode())),
    ]  # fmt: skip


def test_node_takes_no_roster_but_a_newer_one_of_its_registrar(hostile):
    for name, raw in rosters(hostile):
        before = Folder(quick.node_trust(hostile.root, GA)).roster_file.read_bytes()
        log, counted = len(hostile.log(GA)), hostile.refusals(GA).get("roster", 0)
        assert hostile.post_roster(GA, raw) == "409", name
        assert Folder(quick.node_trust(hostile.root, GA)).roster_file.read_bytes() == before, name
        assert len(hostile.log(GA)) == log, name
        assert hostile.refusals(GA)["roster"] == counted + 1, name
        hostile.assert_alive(GA)
    events = [each.event for each in hostile.log(GA)]
    assert events.count("roster") == 1, "the one that was taken"
