"""How often are honest questions refused, or answered with nothing, by disclosure control?"""

import asyncio
import shutil
from pathlib import Path

from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.governance.detection import Tally
from middleplatform.policy.examples import example
from middleplatform.settings import Settings
from policies.documents import read

FILE = Path(__file__).with_name("workload.yaml")
FALSE_REFUSALS_MAX = 0.02
QUESTIONS_MIN = 500


def sessions():
    document, problems = read(FILE.name, FILE.read_bytes())
    assert not problems
    return document.value["sessions"]


def bundle(folder, projects):
    """Write the demonstration's bundle under tier S, with a project for each session."""
    shutil.copytree(str(example("demo")), folder, ignore=shutil.ignore_patterns("catalog"))
    limits = folder / "limits.yaml"
    text = limits.read_text(encoding="utf-8")
    assert "projects: [" in text
    limits.write_text(
        text.replace("projects: [", f"projects: [{', '.join(projects)}, "), encoding="utf-8"
    )
    assert "method: perturb" in (folder / "disclosure.yaml").read_text(encoding="utf-8")
    # Statutory tables too: how often exact ones are withheld is another question.
    columns = folder / "columns.yaml"
    text = columns.read_text(encoding="utf-8")
    columns.write_text(text.replace("method: table", "method: perturb"), encoding="utf-8")
    return folder


def outcome(platform, session, sql):
    """Return the code of a refusal, ``"nothing"`` where all values were withheld, or nothing."""
    gateway = platform.gateway
    asked = gateway.request(sql, PERSONAS["analyst_drc"], "statistics", project=session["project"])
    try:
        release = asyncio.run(gateway.submit(asked)).release
    except MiddleplatformError as error:
        return error.code
    marks = release.marks.to_pylist()
    values = [
        name
        for name in release.table.schema.names
        if any(row[name] is not None for row in marks) or name not in _labels(release)
    ]
    shown = any(row[name] is not None for row in release.table.to_pylist() for name in values)
    return "" if shown else "nothing"


def _labels(release):
    """Return the names of columns that are labels: whatever is not the last one or a number that was asked for."""
    names = release.table.schema.names
    return set(names[: names.index(next(each for each in names if each in MEASURES))])


MEASURES = {
    "n", "households", "years", "older", "some", "spread", "people", "cost", "visits", "admissions", "admitted",
    "dear", "chronic", "low", "high", "income", "score", "firms", "best", "employees",
}  # fmt: skip


def alerts(platform):
    """Return which rules of detection all of it crosses, asked by one person within a moment."""
    rules = platform.gateway.bundle.limits.probing
    assert len(rules) > 3
    tally = Tally(rules, {})
    return [found for entry in platform.gateway.audit.entries() for found in tally.add(entry)]


def test_at_most_two_in_a_hundred_honest_questions_are_refused(demo_data, tmp_path):
    asked = sessions()
    folder = bundle(tmp_path / "bundle", [each["project"] for each in asked])
    found = {}
    with open_platform(
        Settings(state=tmp_path / "state", data=demo_data, bundle=folder)
    ) as platform:
        for session in asked:
            for sql in session["questions"]:
                found[session["project"], sql] = outcome(platform, session, sql)
        assert alerts(platform) == []
    refused = {key: code for key, code in found.items() if code}
    assert len(found) >= QUESTIONS_MIN
    assert {code for code in refused.values() if code[0] not in "Dn"} == set()
    assert len(refused) <= FALSE_REFUSALS_MAX * len(found), refused
