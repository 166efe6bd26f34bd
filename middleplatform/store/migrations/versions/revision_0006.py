"""What several gateways share: leases, questions under way, tokens, keys, near-duplicates, catalogues.

The audit log makes its own tables, in a schema of its own: its form is that of its file, not this store's.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
    _leases()
    _jobs()
    _tokens()
    _questions()
    op.create_table(
        "catalogs",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_catalogs"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(80), nullable=False),
        *_texts("holder"),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "fences",
        sa.Column("only", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("only", name="pk_fences"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), nullable=False),
        *_texts("login", "department"),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("gateway", sa.String(80), nullable=False),
        sa.Column("left", sa.Boolean, nullable=False),
        sa.Column("log_size", sa.BigInteger, nullable=False),
        *_texts("state"),
        sa.Column("error", sa.JSON),
        sa.Column("answer", sa.Text),
        sa.Column("stream", sa.LargeBinary),
        sa.Column("ended_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        *_texts("login", "department", "roles", "regions", "note", "created_at", "expires_at"),
        sa.Column("revoked_at", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_table(
        "sealing_keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.Column("modulus", sa.LargeBinary, nullable=False),
        *_texts("login", "department", "published_at", "replaces"),
        sa.Column("revoked_at", sa.Text),
        sa.Column("revoked_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_sealing_keys"),
        sa.UniqueConstraint("modulus", name="uq_sealing_keys_modulus"),
    )


def _questions() -> None:
    op.create_table(
        "questions",
        *_texts("project"),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("project", "day", "fingerprint", "digest", name="pk_questions"),
    )
    op.create_table(
        "populations",
        *_texts("project", "dataset"),
        sa.Column("key", sa.String(64), nullable=False),
        *_texts("shape", "label"),
        sa.Column("units_low", sa.BigInteger, nullable=False),
        sa.Column("units_high", sa.BigInteger, nullable=False),
        *_texts("released_at"),
        sa.PrimaryKeyConstraint("project", "dataset", "key", name="pk_populations"),
    )
