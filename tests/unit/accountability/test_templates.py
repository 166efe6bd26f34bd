"""What is accounted for is the template that was asked, also when the name is another's by now."""

import pytest
from made_templates import REGIONS, with_regions
from policy_world import GA, HAN, LU, files, world
from steady import SeededRng

from middleplatform.accountability.accounts import Accounts
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.model.record import AuditRecord

TEMPLATE = f"{REGIONS}    approved_by: [lu, steward_ga]\n"
OTHER = TEMPLATE.replace("第三条", "第九条").replace("People by region", "Something else")


def published(life, label, template):
    """Publish a version with everybody's yes; return its digest."""
    wanted = life.propose(HAN, with_regions(files(label=label), template), label)
    if life.weigh(wanted).missing:
        for who in (LU, GA):
            life.approve(who, wanted)
    life.publish(HAN, wanted)
    return life.standing().bundle.digest


def released(log, query, digest):
    log.append(AuditRecord("released", {
        "at": "2026-03-01T00:00:00+00:00", "query_id": query, "subject": "lin", "department": "drc", "roles": ["analyst"],
        "recipient": "drc", "purpose": "statistics", "project": "drc", "datasets": ["ga.population"],
        "columns": ["ga.population.region_code"], "policy_digest": digest, "catalog_digest": "c" * 64, "grants": ["T/regions"],
        "protocol": "local", "fragments": [], "obligations": [], "result_digest": "e" * 64, "disclosure": {}, "withheld": [],
        "released_values": 4,
    }))  # fmt: skip


@pytest.mark.parametrize("last", [OTHER, ""], ids=["changed", "removed"])
def test_a_report_and_a_record_say_what_the_template_said_when_it_was_asked(tmp_path, rules, last):
    signer = CheckpointSigner.load_or_create(
        tmp_path / "log.key", "audit.example/small", SeededRng()
    )
    with world(tmp_path) as made_world:
        life, log = made_world.life, made_world.log
        first = published(life, "1", TEMPLATE)
        released(log, "ab" * 16, first)
        second = published(life, "2", last)
        released(log, "cd" * 16, second)
        released(log, "ef" * 16, "0" * 64)
        accounts = Accounts(log, made_world.store, life.catalog, life.standing().bundle, rules, made_world.clock)  # fmt: skip
        told = [accounts.report(query * 16, signer, None).value["approvals"] for query in ("ab", "cd", "ef")]  # fmt: skip
        assert told[0] == [{
            "grant": "T/regions", "basis": "《统计法》第三条", "scenario": "各区人数 · People by region",
            "ends": "2027-01-01T00:00:00+00:00", "approved_by": ["lu", "steward_ga"],
        }]  # fmt: skip
        assert [each.get("basis") for each in told[1]] == (["《统计法》第九条"] if last else [None])
        assert told[2] == [{"grant": "T/regions"}], "a policy that nobody knows"
        records = accounts.usage_records("drc", "user")
        assert [each.basis for each in records] == [
            ("《统计法》第三条",), ("《统计法》第九条",) if last else (), (),
        ]  # fmt: skip
