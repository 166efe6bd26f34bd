"""Events of applications for data."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "application_events",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sequence", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", "sequence", name="pk_application_events"),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_application_events_act_acts"),
    )
