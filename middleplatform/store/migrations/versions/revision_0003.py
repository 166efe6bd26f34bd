"""Freezes, consents to end them, and alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "freezes",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        *_texts("scope", "target", "reason", "person", "department", "capacity"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("ends", sa.String(32)),
        sa.Column("drill", sa.Boolean, nullable=False),
        sa.Column("lifted_at", sa.String(32)),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_freezes"),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_freezes_act_acts"),
    )
    op.create_table(
        "freeze_consents",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("freeze", sa.Integer, nullable=False),
        *_texts("person", "department", "capacity", "reason"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_freeze_consents"),
        sa.UniqueConstraint("freeze", "person", name="uq_freeze_consents_freeze_person"),
        sa.ForeignKeyConstraint(
            ["freeze"], ["freezes.number"], name="fk_freeze_consents_freeze_freezes"
        ),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_freeze_consents_act_acts"),
    )
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        *_texts("signal", "per", "target", "measured", "most"),
        sa.Column("minutes", sa.Integer, nullable=False),
        *_texts("person", "department", "project", "log"),
        sa.Column("entry", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("freeze", sa.Integer),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_alerts"),
        sa.ForeignKeyConstraint(["freeze"], ["freezes.number"], name="fk_alerts_freeze_freezes"),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_alerts_act_acts"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
