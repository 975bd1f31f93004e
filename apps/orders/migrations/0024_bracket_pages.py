"""Live pages follow brackets: a change of what they show takes the account's next number.

The database counts, so that no way of writing a bracket or a leg can leave an open page behind.
"""

from django.db import migrations, models

SHOWN = ("status", "style", "trailing_jump", "leaving_at", "exposed_since")
SHOWN_OF_LEG = (
    "order_id",
    "leg_order_id",
    "quantity",
    "filled_quantity",
    "price",
    "trigger_price",
    "average_price",
    "status",
    "reason",
)


def _differ(columns: tuple[str, ...]) -> str:
    before, after = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return f"({before}) IS DISTINCT FROM ({after})"


COUNT = f"""
CREATE FUNCTION orders_next_change(account bigint) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO orders_desksequence (account_id, value) VALUES (account, 1)
    ON CONFLICT (account_id) DO UPDATE SET value = orders_desksequence.value + 1
    RETURNING value;
$$;
CREATE FUNCTION orders_bracket_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.live_seq := orders_next_change(NEW.account_id);
    RETURN NEW;
END $$;
CREATE TRIGGER orders_bracket_begins BEFORE INSERT ON orders_bracket
    FOR EACH ROW WHEN (NEW.origin_id IS NULL) EXECUTE FUNCTION orders_bracket_changes();
CREATE TRIGGER orders_bracket_changes BEFORE UPDATE ON orders_bracket
    FOR EACH ROW WHEN (NEW.origin_id IS NULL AND ({_differ(SHOWN)}
        OR (OLD.target_price IS NULL) <> (NEW.target_price IS NULL)))
    EXECUTE FUNCTION orders_bracket_changes();
CREATE FUNCTION orders_leg_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE orders_bracket SET live_seq = orders_next_change(account_id) WHERE id = NEW.bracket_id;
    RETURN NULL;
END $$;
CREATE TRIGGER orders_leg_begins AFTER INSERT ON orders_bracketleg
    FOR EACH ROW WHEN (NEW.origin_id IS NULL) EXECUTE FUNCTION orders_leg_changes();
CREATE TRIGGER orders_leg_changes AFTER UPDATE ON orders_bracketleg
    FOR EACH ROW WHEN (NEW.origin_id IS NULL AND {_differ(SHOWN_OF_LEG)})
    EXECUTE FUNCTION orders_leg_changes();
"""
FORGET = """
DROP TRIGGER orders_leg_changes ON orders_bracketleg;
DROP TRIGGER orders_leg_begins ON orders_bracketleg;
DROP FUNCTION orders_leg_changes();
DROP TRIGGER orders_bracket_changes ON orders_bracket;
DROP TRIGGER orders_bracket_begins ON orders_bracket;
DROP FUNCTION orders_bracket_changes();
DROP FUNCTION orders_next_change(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("brokers", "0012_holdings"), ("orders", "0023_slicing_day")]
    operations = [
        migrations.AddField(
            model_name="bracket",
            name="live_seq",
            field=models.BigIntegerField(
                default=0,
                editable=False,
                help_text="The account's change number of what pages show of it; "
                "the database counts.",
            ),
        ),
        migrations.AddIndex(
            model_name="bracket",
            index=models.Index(fields=["account", "live_seq"], name="bracket_live"),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                models.Func(
                    models.F("request_key"),
                    output_field=models.CharField(),
                    template="split_part(%(expressions)s, ':', 2)",
                ),
                condition=models.Q(("request_key__startswith", "bracket:")),
                name="order_bracket",
            ),
        ),
        migrations.AddIndex(
            model_name="bracketleg",
            index=models.Index(
                condition=models.Q(("order__isnull", True), ("status", "UNKNOWN")),
                fields=["bracket"],
                name="leg_unknown",
            ),
        ),
        migrations.RunSQL(COUNT, FORGET),
    ]
