"""What several gateways share: leases, the audit log, tokens, questions under way, catalogues."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the tables."""
