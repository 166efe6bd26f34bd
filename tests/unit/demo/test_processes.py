"""Does the demonstration's key holder join a platform of an earlier run, and end with it?"""

import yaml

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.demo.processes import NodeProcesses
from middleplatform.enrolment import quick
from middleplatform.enrolment.registrar import Registrar


def test_a_key_holder_is_enrolled_where_there_was_none_and_runs_without_a_source(tmp_path):
    quick.enrol_all(tmp_path, {"tax": "127.0.0.1:1"}, SystemRng(), SystemClock())
    processes = NodeProcesses(tmp_path, {}, key_holder=True)
    with processes.start(SystemClock(), SystemRng(), lambda *_: None):
        running = processes.process("keyholder")
        assert running.poll() is None
        assert "keyholder" in running.args
    assert running.poll() == 0
    office = Registrar.open(quick.registrar(tmp_path), None, SystemClock(), SystemRng())
    assert {"tax", "keyholder"} <= set(office.roster().parties)
    state = quick.node_state(tmp_path, "keyholder")
    config = yaml.safe_load((state / "node.yaml").read_text(encoding="utf-8"))
    assert (config["department"], config["stewards"]) == ("keyholder", [])
    assert not (state / "connectors").exists()
