"""Keys and sealed answers on the command line, over real departments in this process."""

import csv
import io
import json
import runpy
from decimal import Decimal
from pathlib import Path

import pytest

from middleplatform.cli.main import main
from tests.fakes.sealed_world import SealedPlatform, made_platform
from tests.unit.cli.conftest import Ran

WHO = ("--as", "analyst_drc")
QUESTIONS = [
    "SELECT region, COUNT(*) AS n, AVG(education) AS a FROM ga.person GROUP BY region ORDER BY region",
    "SELECT section, SUM(capital) AS s, VAR_POP(staff) AS v FROM city.firm GROUP BY section ORDER BY section",
    "SELECT COUNT(*) AS n, STDDEV(staff) AS d FROM city.firm",
]
ROOT = Path(__file__).parents[3]


class Opened:
    """A platform that a command opens and closes; it lives on for the next one."""

    def __init__(self, platform):
        self.gateway = platform.gateway

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    rows = made_platform.complete_rows()
    rows["firm"] = [
        (*row[:3], -row[3] if row[2] == "B" else row[3], *row[4:]) for row in rows["firm"]
    ]
    with SealedPlatform(tmp_path_factory.mktemp("departments"), rows) as opened:
        yield opened


@pytest.fixture
def shell(platform, tmp_path, capsys, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MIDDLEPLATFORM_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    word = tmp_path / "word"
    word.write_text("a rather long passphrase\n")
    word.chmod(0o600)

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main(list(arguments), lambda *_: Opened(platform))
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def own(shell):
    """A shell whose person has made and published a key, ``own.key``."""
    made = shell("keys", "new", "own.key", "--holder", "analyst_drc", "--bits", "2048", "--passphrase-file", "word")  # fmt: skip
    assert made.code == 0
    assert shell("keys", "publish", "own.key", *WHO).code == 0
    return shell


def sealed(shell, sql, *more):
    ran = shell("query", sql, *WHO, "--purpose", "statistics", "--sealed-for", "own.key", *more)
    assert ran.code == 0, ran.err
    return ran.out


def test_three_questions_sealed_and_opened_are_the_plain_answers(own):
    for sql in QUESTIONS:
        plain = own("query", sql, *WHO, "--purpose", "statistics", "--csv").out
        Path("answer.json").write_text(sealed(own, sql, "--json"))
        opened = own("open", "answer.json", "--passphrase-file", "word", "--csv")
        assert (opened.code, opened.out) == (0, plain)
        assert "2048" in opened.err
        values = {value for row in csv.reader(io.StringIO(plain)) for value in row if "." in value}
        assert values
        assert not any(value in Path("answer.json").read_text() for value in values)


def test_a_person_sees_stars_then_values_in_both_languages(own):
    shown = sealed(own, QUESTIONS[0])
    assert "***" in shown
    assert "middleplatform open" in shown
    Path("answer.json").write_text(sealed(own, QUESTIONS[0], "--json"))
    opened = own("open", "answer.json", "--key", "own.key", "--passphrase-file", "word")
    assert opened.code == 0
    assert "opened with key" in opened.out
    assert "***" not in opened.out
    assert "已用密钥" in own("open", "answer.json", "--passphrase-file", "word", "--locale", "zh").out  # fmt: skip


def test_json_of_an_opened_answer_has_rows_like_a_plain_one(own):
    Path("answer.json").write_text(sealed(own, QUESTIONS[1], "--json"))
    opened = json.loads(own("open", "answer.json", "--passphrase-file", "word", "--json").out)
    plain = json.loads(own("query", QUESTIONS[1], *WHO, "--purpose", "statistics", "--json").out)
    assert [opened[name] for name in ("columns", "rows", "suppressed", "result_digest")] == [
        plain[name] for name in ("columns", "rows", "suppressed", "result_digest")
    ]


def test_what_cannot_be_opened_says_why_and_ends_with_its_code(own):
    Path("answer.json").write_text(sealed(own, QUESTIONS[0], "--json"))
    own("keys", "new", "other.key", "--holder", "analyst_drc", "--bits", "2048", "--passphrase-file", "word")  # fmt: skip
    wrong = own("open", "answer.json", "--key", "other.key", "--passphrase-file", "word", "--parties", "own.key.parties.json")  # fmt: skip
    assert (wrong.code, "sealed for the key" in wrong.err) == (10, True)
    changed = json.loads(Path("answer.json").read_text())
    changed["sealed"]["rows"] = changed["sealed"]["rows"][::-1]
    Path("changed.json").write_text(json.dumps(changed))
    assert own("open", "changed.json", "--passphrase-file", "word").code == 14
    Path("bad").write_text("another long passphrase\n")
    Path("bad").chmod(0o600)
    assert own("open", "answer.json", "--passphrase-file", "bad").code == 17
    Path("plain.json").write_text("{}")
    for name in ("plain.json", "nothing.json"):
        assert own("open", name, "--passphrase-file", "word").code == 10
    Path("own.key.parties.json").unlink()
    assert own("open", "answer.json", "--passphrase-file", "word").code == 10


def test_a_key_is_rotated_listed_and_revoked(own):
    first = json.loads(Path("own.key.public.json").read_text())["key_id"]
    Path("answer.json").write_text(sealed(own, QUESTIONS[2], "--json"))
    rotated = own("keys", "rotate", "own.key", "new.key", *WHO, "--bits", "2048", "--passphrase-file", "word")  # fmt: skip
    assert rotated.code == 0
    second = rotated.out.strip()
    listed = json.loads(own("keys", "list", *WHO, "--json").out)
    reasons = {each["id"]: each["reason"] for each in listed["keys"]}
    assert reasons[first] == f"replaced by {second}"
    assert second[:8] in own("keys", "list", *WHO).out
    refused = own("query", QUESTIONS[2], *WHO, "--purpose", "statistics", "--sealed-for", "own.key")
    assert refused.code == 10
    assert own("open", "answer.json", "--passphrase-file", "word").code == 0
    assert own("keys", "revoke", "new.key", *WHO, "--reason", "leaving").code == 0
    assert own("query", QUESTIONS[2], *WHO, "--purpose", "statistics", "--sealed-for", second).code == 10  # fmt: skip


def test_a_key_file_is_for_its_owner_alone_encrypted_and_never_overwritten(own):
    content = Path("own.key").read_bytes()
    assert oct(Path("own.key").stat().st_mode)[-3:] == "600"
    assert b"ENCRYPTED" in content
    again = own("keys", "new", "own.key", "--holder", "analyst_drc", "--bits", "2048", "--passphrase-file", "word")  # fmt: skip
    assert again.code == 17
    assert Path("own.key").read_bytes() == content


def test_a_sealed_answer_is_no_csv_and_a_remote_gateway_needs_a_token(own):
    assert own("query", QUESTIONS[0], *WHO, "--purpose", "statistics", "--sealed-for", "own.key", "--csv").code == 10  # fmt: skip
    assert own("keys", "list", *WHO, "--gateway", "https://gateway.example").code == 10
    assert own("query", QUESTIONS[0], *WHO, "--purpose", "statistics", "--sealed-for", "no such file").code == 10  # fmt: skip


def test_the_ten_lines_on_the_page_open_an_answer_with_bare_phe(own, capsys):
    page = (ROOT / "docs/howto/sealed-answers.md").read_text(encoding="utf-8")
    script = page.split("```python answer.json\n")[1].split("```")[0]
    assert len([line for line in script.splitlines() if line and not line.startswith(("from", "import"))]) <= 12  # fmt: skip
    Path("answer.json").write_text(sealed(own, QUESTIONS[1], "--json"))
    Path("ten.py").write_text(script.replace('"li.key"', '"own.key"').replace('getpass("Passphrase: ")', '"a rather long passphrase"'))  # fmt: skip
    capsys.readouterr()
    runpy.run_path("ten.py")
    shown = json.loads(capsys.readouterr().out)
    plain = json.loads(own("query", QUESTIONS[1], *WHO, "--purpose", "statistics", "--json").out)
    sums = [Decimal(row["sum_0"]).scaleb(-4) for row in shown]
    assert min(sums) < 0 < max(sums)
    assert [format(each, "f") for each in sums] == [row[1] for row in plain["rows"]]
