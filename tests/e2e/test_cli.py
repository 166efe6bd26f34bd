"""The installed program: a question goes in, a governed answer comes out, and every ending is clear."""

import json
import os
import signal
import subprocess

OLD = "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= 60 GROUP BY region_code ORDER BY 1"
ASK = ("--as", "analyst_drc", "--purpose", "statistics")


def test_program_comes_from_the_wheel(product):
    script = "import middleplatform, connectors, policies; print(middleplatform.__file__)"
    python = product.program.parent / "python"
    found = subprocess.run(
        [python, "-c", script],
        cwd=product.folder,
        env=product.environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert str(product.program.parent.parent) in found.stdout


def test_question_is_answered_with_a_receipt_that_verifies(product):
    ran = product("query", OLD, *ASK, "--json")
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert [each["name"] for each in answer["columns"]] == ["region_code", "n"]
    assert len(answer["rows"]) == 6
    hidden = {(mark["row"], mark["column"]) for mark in answer["suppressed"]}
    for row, (_, count) in enumerate(answer["rows"]):
        assert (count is None) == ((row, 1) in hidden)
        assert count is None or count >= answer["policy"]["threshold"]
    index = answer["receipt"]["index"]
    entry = json.loads(product("audit", "show", str(index), "--json").stdout)
    assert entry["body"]["query_id"] == answer["query_id"]
    assert entry["body"]["result_digest"] == answer["result_digest"]
    assert entry["leaf_hash"] == answer["receipt"]["leaf_hash"]
    assert product("audit", "verify").returncode == 0


def test_refusal_names_the_rule_the_place_and_the_entry(product):
    ran = product("query", "SELECT id_number FROM ga.population", *ASK)
    assert (ran.returncode, ran.stdout) == (11, "")
    assert ran.stderr.startswith("P001")
    assert "\n       |        ^^^^^^^^^\n" in ran.stderr
    index = ran.stderr.rsplit("audit entry: ", 1)[1].strip()
    entry = json.loads(product("audit", "show", index, "--json").stdout)
    assert entry["event"] == "refused"


def test_bad_questions_each_give_one_clear_message_with_a_code(product):
    for sql, code, status in (
        ("SELEC 1", "Q001", 10), ("SELECT nothing FROM ga.population", "Q020", 10),
    ):  # fmt: skip
        ran = product("query", sql, *ASK)
        assert (ran.returncode, ran.stderr[:4], ran.stdout) == (status, code, "")
        assert "Traceback" not in ran.stderr


def test_explain_runs_nothing_and_logs_nothing(product):
    before = json.loads(product("audit", "head", "--json").stdout)["size"]
    ran = product("explain", OLD, *ASK, "--locale", "zh")
    assert (ran.returncode, "允许" in ran.stdout) == (0, True)
    assert json.loads(product("audit", "head", "--json").stdout)["size"] == before


def test_export_verifies_with_a_script_that_trusts_nothing(product):
    product("query", OLD, *ASK)
    assert product("audit", "export", "log.jsonl").returncode == 0
    keys = json.loads(product("audit", "head", "--json").stdout)["keys"]
    (product.folder / "log.pub").write_text("\n".join(keys) + "\n")
    assert product("audit", "verify", "log.jsonl", "log.pub").returncode == 0
    path = product.folder / "log.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8").replace("analyst_drc", "analyst_xyz", 1), encoding="utf-8"
    )
    broken = product("audit", "verify", "log.jsonl", "log.pub")
    assert (broken.returncode, "was altered" in broken.stderr) == (16, True)


def test_damaged_log_keeps_the_platform_from_answering(product, tmp_path):
    state = tmp_path / "state"
    product.environment["MIDDLEPLATFORM_STATE"] = str(state)
    try:
        assert product("query", OLD, *ASK).returncode == 0
        database = state / "audit.db"
        data = database.read_bytes()
        assert b"analyst_drc" in data
        database.write_bytes(data.replace(b"analyst_drc", b"analyst_xyz"))
        ran = product("query", OLD, *ASK)
    finally:
        del product.environment["MIDDLEPLATFORM_STATE"]
    assert (ran.returncode, ran.stdout, ran.stderr[:4]) == (16, "", "A002")


def test_missing_settings_and_broken_yaml_are_one_clear_message(product, tmp_path):
    assert product("--settings", "none.toml", "audit").stderr.startswith("C003")
    (tmp_path / "bundle.yaml").write_text("name: [", encoding="utf-8")
    ran = product("policy", "check", str(tmp_path))
    assert (ran.returncode, ran.stderr[:4], "bundle.yaml:1" in ran.stderr) == (17, "C001", True)


def test_shipped_bundle_passes_its_own_tests(product):
    python = product.program.parent / "python"
    script = "import policies; print(policies.root() / 'examples' / 'demo')"
    where = subprocess.run(
        [python, "-c", script],
        cwd=product.folder,
        env=product.environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    ran = product("policy", "test", where.stdout.strip(), "--json")
    assert [each for each in json.loads(ran.stdout)["cases"] if each["differences"]] == []
    assert ran.returncode == 0


def test_reader_that_goes_away_leaves_no_traceback(product):
    command = f"'{product.program}' catalog list --json | head -c 1"
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=product.folder,
        env=product.environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("[", "")


def test_interrupt_ends_cleanly(product):
    pipe = product.folder / "question.sql"
    os.mkfifo(pipe)
    running = product.start("query", "-f", "question.sql", *ASK)
    with pipe.open("w"):  # returns once the program reads: it is at work then
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "")


def test_locked_database_and_missing_database_are_one_clear_message(product, tmp_path):
    holder = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    python = product.program.parent / "python"
    with subprocess.Popen(
        [python, "-c", holder, "var/departments/ga.duckdb"], cwd=product.folder, env=product.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    ) as held:  # fmt: skip
        assert held.stdout.readline() == "held\n"
        locked = product("query", OLD, *ASK)
        held.stdin.close()
    assert (locked.returncode, locked.stdout, locked.stderr[:4]) == (17, "", "C005")
    assert "PID" not in locked.stderr
    script = "import policies; print(policies.root() / 'examples' / 'demo' / 'catalog')"
    where = subprocess.run(
        [python, "-c", script],
        cwd=product.folder,
        env=product.environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    own = f"catalog = '{where.stdout.strip()}'\ndata = '{tmp_path / 'none'}'\nstate = '{tmp_path / 'state'}'\n"
    (tmp_path / "own.toml").write_text(own)
    missing = product("--settings", str(tmp_path / "own.toml"), "query", OLD, *ASK)
    assert (missing.returncode, missing.stdout, missing.stderr[:4]) == (17, "", "C004")
    assert product("query", OLD, *ASK).returncode == 0
