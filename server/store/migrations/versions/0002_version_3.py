"""The schema of version 3 of this program, the oldest that is brought up to date; nothing makes it any more."""

revision = "0002"
down_revision = None


def upgrade() -> None:
    """There is nothing to do."""
