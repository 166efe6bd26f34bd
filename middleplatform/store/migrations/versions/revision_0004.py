"""Events of tickets of objection and correction."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ticket_events",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", "sequence", name="pk_ticket_events"),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_ticket_events_act_acts"),
    )
