"""Acts; contents, proposals, approvals and versions of policies."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _acts()
    _contents()
    _proposals()
    _versions()


def _acts() -> None:
    op.create_table(
        "acts",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("log", sa.Text),
        sa.Column("log_size", sa.BigInteger),
        sa.Column("audit_index", sa.BigInteger),
        sa.PrimaryKeyConstraint("number", name="pk_acts"),
        sa.UniqueConstraint("id", name="uq_acts_id"),
    )


def _contents() -> None:
    op.create_table(
        "policy_contents",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kept_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_policy_contents"),
    )
    op.create_table(
        "policy_files",
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("content", "path", name="pk_policy_files"),
        sa.ForeignKeyConstraint(
            ["content"], ["policy_contents.digest"], name="fk_policy_files_content_policy_contents"
        ),
    )


def _proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("base", sa.Integer, nullable=False),
        sa.Column("base_digest", sa.String(64), nullable=False),
        sa.Column("restores", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("closed_by", sa.Text, nullable=False),
        sa.Column("closed_at", sa.String(32)),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_proposals"),
        sa.CheckConstraint("kind IN ('publish', 'rollback')", name="ck_proposals_kind"),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected', 'withdrawn', 'published')",
            name="ck_proposals_state",
        ),
        sa.ForeignKeyConstraint(
            ["content"], ["policy_contents.digest"], name="fk_proposals_content_policy_contents"
        ),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_proposals_act_acts"),
    )
    op.create_table(
        "approvals",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("proposal", sa.Integer, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("department", sa.Text, nullable=False),
        sa.Column("capacity", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_approvals"),
        sa.UniqueConstraint("proposal", "person", name="uq_approvals_proposal_person"),
        sa.CheckConstraint(
            "capacity IN ('second_officer', 'data_owner')", name="ck_approvals_capacity"
        ),
        sa.ForeignKeyConstraint(
            ["proposal"], ["proposals.number"], name="fk_approvals_proposal_proposals"
        ),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_approvals_act_acts"),
    )


def _versions() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("proposal", sa.Integer, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("bundle", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("predecessor", sa.Integer, nullable=False),
        sa.Column("restores", sa.Integer, nullable=False),
        sa.Column("published_by", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_policy_versions"),
        sa.UniqueConstraint("proposal", name="uq_policy_versions_proposal"),
        sa.UniqueConstraint("predecessor", name="uq_policy_versions_predecessor"),
        sa.CheckConstraint("kind IN ('publish', 'rollback')", name="ck_policy_versions_kind"),
        sa.ForeignKeyConstraint(
            ["proposal"], ["proposals.number"], name="fk_policy_versions_proposal_proposals"
        ),
        sa.ForeignKeyConstraint(
            ["content"],
            ["policy_contents.digest"],
            name="fk_policy_versions_content_policy_contents",
        ),
        sa.ForeignKeyConstraint(["act"], ["acts.number"], name="fk_policy_versions_act_acts"),
    )
