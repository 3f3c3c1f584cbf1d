"""Plans, customers and the news of the payment provider."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orgs", sa.Column("overdue_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "billing_accounts",
        sa.Column("org_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("customer_id", sa.String(length=255), nullable=True),
        sa.Column("reading_begun", sa.Integer(), nullable=False),
        sa.Column("reading_kept", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("subscription_id", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("next_plan_id", sa.String(length=255), nullable=True),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_ending", sa.Boolean(), nullable=False),
        sa.Column("next_bill_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_bill_amount", sa.BigInteger(), nullable=True),
        sa.Column("next_bill_currency", sa.String(length=3), nullable=True),
        sa.Column("told_debt", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["orgs.id"],
            name=op.f("fk_billing_accounts_org_id_orgs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_billing_accounts")),
        sa.UniqueConstraint("customer_id", name=op.f("uq_billing_accounts_customer_id")),
    )
    op.create_table(
        "billing_intents",
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result_id", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_billing_intents_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "action", name=op.f("pk_billing_intents")),
    )
    op.create_table(
        "billing_invoices",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pdf_url", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id"],
            ["orgs.id"],
            name=op.f("fk_billing_invoices_org_id_orgs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_invoices")),
    )
    op.create_index("ix_billing_invoices_org_id", "billing_invoices", ["org_id", "made_at"])
    op.create_table(
        "billing_events",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("org_id", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["orgs.id"], name=op.f("fk_billing_events_org_id_orgs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_events")),
    )
    op.create_index("ix_billing_events_taken_at", "billing_events", ["taken_at"])


def downgrade() -> None:
    op.drop_table("billing_events")
    op.drop_table("billing_invoices")
    op.drop_table("billing_intents")
    op.drop_table("billing_accounts")
    with op.batch_alter_table("orgs") as batch:
        batch.drop_column("overdue_since")
