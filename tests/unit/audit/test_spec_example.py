"""The example bytes of docs/spec/audit-log.md are what the code really makes."""

import re
from pathlib import Path

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.proof import proof_text
from middleplatform.audit.witness import Witness
from middleplatform.model.record import AuditRecord

PAGE = Path(__file__).parents[3] / "docs" / "spec" / "audit-log.md"


class CountingRng:
    """The seed of the page's key: the bytes 0 to 31."""

    def token_bytes(self, count: int) -> bytes:
        return bytes(range(count))


RECORDS = [
    AuditRecord("received", {"at": "2026-03-01T08:00:00Z", "query_id": "9f", "subject": "lin"}),
    AuditRecord(
        "released",
        {
            "at": "2026-03-01T08:00:01Z",
            "query_id": "9f",
            "subject": "lin",
            "purpose": "政策研究",
            "datasets": ["ga.population"],
            "columns": ["ga.population.age"],
        },
    ),
    AuditRecord("refused", {"at": "2026-03-01T08:05:00Z", "query_id": "a0", "rules": ["R1"]}),
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_shows_what_the_code_makes(tmp_path, clock, make_witness_signer):
    signer = CheckpointSigner.create(
        tmp_path / "spec.key", "audit.example/middleplatform", CountingRng()
    )
    with AuditLog.open(tmp_path / "spec.sqlite", signer, clock) as log:
        receipts = [log.append(record) for record in RECORDS]
        witness = Witness(make_witness_signer("tax"), [signer.key], tmp_path / "seen", clock)
        line = witness.cosign(log.checkpoint(), [])
        log.add_cosignature(3, line, witness.key)
        log.export(tmp_path / "export.jsonl")
        assert blocks("checkpoint") == [log.checkpoint()]
        assert blocks("vkey") == [signer.key.text() + "\n" + witness.key.text() + "\n"]
    assert blocks("proof") == [proof_text(receipts[2])]
    assert blocks("jsonl") == [(tmp_path / "export.jsonl").read_text(encoding="utf-8")]
