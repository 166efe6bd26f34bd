"""Two departments' datasets, a policy of two thresholds, and the people who may change it; store and log are real."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from doors import CountingRng, HandClock

from middleplatform import catalog as catalogs
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.governance.desk import Desk
from middleplatform.governance.examined import loaded
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.model.request import Role, Subject
from middleplatform.policy.examples import example
from middleplatform.store.database import Store

DATASETS = {
    "ga.population": ("id_number", "name", "region_code"),
    "tax.individual_income": ("id_number", "tax_year"),
}
OFFICER, STEWARD = Role.SECURITY_OFFICER, Role.DEPARTMENT_STEWARD


def person(login, department, *roles):
    return Subject(login, department, frozenset(roles))


HAN, LU, QIAO = (person(login, "db", OFFICER) for login in ("han", "lu", "qiao"))
GA, TAX, SS = (person(f"steward_{name}", name, STEWARD) for name in ("ga", "tax", "ss"))
ANALYST = person("lin", "drc", Role.ANALYST)
AUDITOR = person("audit", "audit", Role.AUDITOR)
BOTH = person("both", "db", OFFICER, Role.AUDITOR)

PERSONAS = "personas:\n  analyst: {department: drc, roles: [analyst], regions: ['*']}\n"
SUITE = """suite: small
now: 2026-03-01T00:00:00Z
cases:
  - id: name
    persona: analyst
    purpose: statistics
    sql: SELECT name FROM ga.population
    expect: %s
    rule: R1
"""


@cache
def small_catalog():
    """Return the shipped catalogue with two of its datasets, a few columns of each, and five departments."""
    whole = catalogs.load(example("demo") / "catalog")
    datasets = {
        name: replace(
            whole.datasets[name],
            columns={each: whole.datasets[name].columns[each] for each in columns},
        )
        for name, columns in DATASETS.items()
    }
    departments = {name: whole.departments[name] for name in ("ga", "tax", "ss", "drc", "db")}
    return replace(whole, datasets=datasets, departments=departments)


def files(ga=20, tax=20, *, label="1", expect="refuse", suite=True, note=""):
    """Return a bundle's files: its two thresholds may be 10 at least."""
    manifest = f'name: small\nversion: "{label}"\neffective: 2026-01-01\nextends: baseline\n{note}'
    statistics = "  statistics: {name_zh: 统计, name_en: statistics, roles: [analyst]}\n"
    columns = f"""datasets:
  ga.population:
    purposes: [statistics]
    disclosure: {{min_units: {ga}}}
    columns: {{id_number: {{}}, name: {{use: denied}}, region_code: {{}}}}
  tax.individual_income:
    purposes: [statistics]
    disclosure: {{min_units: {tax}}}
    columns: {{id_number: {{}}, tax_year: {{}}}}
"""
    tests = {"small_test.yaml": SUITE % expect, "personas.yaml": PERSONAS} if suite else {}
    return {
        "manifest.yaml": manifest, "purposes.yaml": "purposes:\n" + statistics,
        "columns.yaml": columns, **tests,
    }  # fmt: skip


@cache
def configured():
    """Return the rules of the folder that the settings name."""
    return loaded(files(), small_catalog())


@dataclass
class World:
    """A life-cycle with its own log.

    Attributes:
        life: The life-cycle.
        log: Its log.
        clock: Stands still.
    """

    life: Lifecycle
    log: AuditLog
    clock: HandClock

    @property
    def store(self):
        return self.life.desk.store

    def entries(self):
        """Return the bodies of the log's entries on policy, in order."""
        return [each.record.body for each in self.log.entries() if each.record.event == "policy"]

    def beside(self, log=None):
        """Return the life-cycle of another process, with another log or none."""
        desk = Desk(self.store, self.clock, self.life.desk.rng, log)
        return Lifecycle(desk, small_catalog(), configured())

    def loosened(self):
        """Publish version 1, then propose what loosens the tax bureau's data; return the proposal."""
        self.life.publish(HAN, self.life.propose(HAN, files(tax=30), "first"))
        return self.life.propose(HAN, files(tax=10, label="2"), "second")


def open_log(folder, clock):
    signer = CheckpointSigner.load_or_create(
        folder / "log.key", "audit.example/small", CountingRng()
    )
    return AuditLog.open(folder / "audit.db", signer, clock)


@contextmanager
def world(folder: Path, url=""):
    """Give a life-cycle over the store at ``url``, a new SQLite file unless said."""
    if not url:
        shutil.copy(_empty(folder), folder / "store.db")
    clock = HandClock()
    with (
        Store.open(url or f"sqlite:///{folder / 'store.db'}") as store,
        open_log(folder, clock) as log,
    ):
        desk = Desk(store, clock, CountingRng(), log)
        yield World(Lifecycle(desk, small_catalog(), configured()), log, clock)


_EMPTY = {}


def _empty(folder):
    """Return a new store's file, made once: bringing one to its form takes longer than a test."""
    if "path" not in _EMPTY:
        path = folder.parent / f"{folder.name}-empty.db"
        Store.open(f"sqlite:///{path}").close()
        _EMPTY["path"], _EMPTY["bytes"] = path, path.read_bytes()
    _EMPTY["path"].write_bytes(_EMPTY["bytes"])
    return _EMPTY["path"]
