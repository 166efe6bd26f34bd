"""Saved questions."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "saved_questions",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sql", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("noise", sa.Text, nullable=False),
        sa.Column("strict", sa.Boolean, nullable=False),
        sa.Column("saved_at", sa.String(32), nullable=False),
        sa.Column("removed_at", sa.String(32)),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_saved_questions"),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_saved_questions_act_acts"),
    )
    op.create_index("ix_saved_questions_login", "saved_questions", ["login"])
