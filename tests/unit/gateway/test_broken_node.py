"""Does a node that is broken, or lies about form, get anything into an answer, or the gateway into an error of its own?"""

from dataclasses import replace

import made_platform
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from middleplatform.crypto.receipts import sign_receipt, verify_receipt
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.errors import MiddleplatformError
from middleplatform.node.service import GATEWAY
from middleplatform.wire.frame import CALL, REPLY, Message, decode, encode
from middleplatform.wire.tables import decode_table, digest_of, encode_table

SQL = "SELECT region, COUNT(*) AS n, SUM(education) AS total FROM ga.person GROUP BY region"


class BrokenNode:
    """A transport to the real node of ga, whose reply is changed on the way by somebody who has its key."""

    def __init__(self, platform, change):
        self.platform, self.change = platform, change

    async def call(self, department, name, body, timeout_s):
        del timeout_s
        platform = self.platform
        asked = decode(body, platform.pins, kind=CALL, sender=GATEWAY, receiver=department)
        found = platform.nodes["ga"].answer(*asked.parts)
        right = Message(REPLY, name, "ga", GATEWAY, asked.nonce, asked.at, {"receipt": found.receipt}, (found.payload,))  # fmt: skip
        return self.change(platform, right)


def signed(change=lambda reply: reply, key="ga"):
    return lambda platform, reply: encode(change(reply), platform.keys[key])


def error(fields):
    return signed(lambda reply: replace(reply, fields={"error": fields}, parts=()))


def table(change, kept=True):
    """Reply with another table, and with a receipt that fits it unless ``kept`` is False."""

    def reply(platform, right):
        changed = change(decode_table(right.part(0)))
        payload = changed if isinstance(changed, bytes) else encode_table(changed)
        said = verify_receipt(right.text("receipt"), "ga", platform.pins)
        rows = 0 if isinstance(changed, bytes) else changed.num_rows
        fitting = sign_receipt(platform.keys["ga"], replace(said, cells=rows, result_digest=digest_of(payload)))  # fmt: skip
        receipt = fitting if kept else right.text("receipt")
        return encode(replace(right, fields={"receipt": receipt}, parts=(payload,)), platform.keys["ga"])  # fmt: skip

    return reply


def put(name, value):
    return table(lambda found: found.set_column(found.column_names.index(name), name, value(found[name])))  # fmt: skip


def squeezed(found):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, found.schema, options=options) as writer:
        writer.write_table(found)
    return bytes(sink.getvalue())


BROKEN = {
    "a reply to another call": signed(lambda reply: replace(reply, nonce="f" * 32)),
    "a reply under another name": signed(lambda reply: replace(reply, name="status")),
    "a call for a reply": signed(lambda reply: replace(reply, kind=CALL)),
    "for somebody else": signed(lambda reply: replace(reply, receiver="c1")),
    "in another's name": signed(lambda reply: replace(reply, sender="c1"), key="c1"),
    "with another's key": signed(key="c1"),
    "nothing": lambda *_: b"",
    "cut": lambda platform, reply: encode(reply, platform.keys["ga"])[:-1],
    "longer": lambda platform, reply: encode(reply, platform.keys["ga"]) + b"x",
    "without a table": signed(lambda reply: replace(reply, parts=())),
    "without a receipt": signed(lambda reply: replace(reply, fields={})),
    "a receipt that is no text": signed(lambda reply: replace(reply, fields={"receipt": [1]})),
    "a table that its receipt does not know": table(lambda found: found.slice(0, 1), kept=False),
    "no table": table(lambda _: b"no arrow"),
    "a compressed table": table(squeezed),
    "another column": table(lambda found: found.append_column("id_number", found["d0"])),
    "a column of evidence": table(lambda found: found.append_column("top1_0", found["sum_0"])),
    "a column less": table(lambda found: found.drop_columns(["m0"])),
    "columns in another order": table(lambda found: found.select(found.column_names[::-1])),
    "a label of another type": put("d0", lambda column: pa.array(range(len(column)))),
    "a word of another type": put("rows_0", lambda column: column.cast(pa.string())),
    "a word of other places": put("sum_0", lambda column: column.cast(pa.decimal128(38, 9))),
    "an unknown mark": put("m1", lambda column: pa.array(["张三 earns 5000"] * len(column))),
    "an unknown mark of a label": put("ml", lambda column: pa.array(["x"] * len(column))),
    "no count and no mark": put("rows_0", lambda column: pc.if_else(pc.is_null(column), column, None)),
    "an error of no code": error({"code": "Z999", "rule": "", "parts": {}}),
    "an error with words of its own": error({"code": "S001", "rule": "", "parts": {"department": "ga", "more": "990101"}}),
    "an error with a terminal's control": error({"code": "Q041", "rule": "", "parts": {"what": "\x1b[2J"}}),
    "an error that is none": error("990101198001011234"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_a_broken_node_says_ends_the_question_and_is_in_the_log(platform, broken):
    platform.use_link(link(platform, BROKEN[broken]))
    with pytest.raises(MiddleplatformError) as caught:
        platform.ask(SQL)
    assert (type(caught.value).__name__, caught.value.code) == ("ProtocolError", "X001")
    assert "9901" not in caught.value.message("en") + caught.value.message("zh")
    events = [event for event, _ in platform.entries()]
    assert events[-2:] == ["received", "failed"]


def test_the_same_node_unbroken_is_believed(platform):
    expected = platform.ask(SQL).release.table
    platform.use_link(link(platform, signed()))
    assert platform.ask(SQL).release.table.equals(expected)


def test_an_error_speaks_of_its_own_department_only(platform):
    platform.use_link(link(platform, error({"code": "S003", "rule": "", "parts": {"department": "c1"}})))  # fmt: skip
    with pytest.raises(MiddleplatformError) as caught:
        platform.ask(SQL)
    assert (caught.value.code, caught.value.parts["department"]) == ("S003", "ga")


def link(platform, change):
    caller = Caller(BrokenNode(platform, change), platform.keys[GATEWAY], platform.pins, platform.clock, made_platform.SeededRng("nonces"), 30)  # fmt: skip
    return WireLink("ga", caller)
