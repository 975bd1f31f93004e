"""A copy trader's database as its own scripts define it and its own writers fill it.

Columns, types and rules are those of its schema 1 and of its step to schema 2; the rows are what
its order manager and its database manager write. ``past.py`` is looser, for what is damaged.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.legacy.past import at

ROLES = "CHECK (account_type IN ('leader', 'follower'))"
ABOUT_ORDER = "FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE"
FIRST = {
    "orders": f"""id TEXT PRIMARY KEY, account_type TEXT NOT NULL, correlation_id TEXT,
        status TEXT NOT NULL, side TEXT NOT NULL, product TEXT NOT NULL, order_type TEXT NOT NULL,
        validity TEXT NOT NULL, security_id TEXT NOT NULL, exchange_segment TEXT NOT NULL,
        quantity INTEGER NOT NULL, price REAL, trigger_price REAL, disclosed_qty INTEGER,
        created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, raw_request TEXT,
        raw_response TEXT, {ROLES}""",
    "order_events": f"""id INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL,
        event_type TEXT NOT NULL, event_data TEXT, event_ts INTEGER NOT NULL, sequence INTEGER,
        UNIQUE (order_id, sequence), {ABOUT_ORDER}""",
    "trades": f"""id TEXT PRIMARY KEY, order_id TEXT NOT NULL, account_type TEXT NOT NULL,
        trade_ts INTEGER NOT NULL, quantity INTEGER NOT NULL, price REAL NOT NULL,
        exchange_segment TEXT, security_id TEXT, raw_data TEXT, {ABOUT_ORDER}, {ROLES}""",
    "positions": f"""snapshot_ts INTEGER NOT NULL, account_type TEXT NOT NULL,
        security_id TEXT NOT NULL, exchange_segment TEXT NOT NULL, quantity INTEGER NOT NULL,
        avg_price REAL NOT NULL, realized_pl REAL, unrealized_pl REAL, product TEXT, raw_data TEXT,
        PRIMARY KEY (snapshot_ts, account_type, security_id, exchange_segment), {ROLES}""",
    "funds": f"""snapshot_ts INTEGER NOT NULL, account_type TEXT NOT NULL,
        available_balance REAL NOT NULL, collateral REAL, margin_used REAL, raw_data TEXT,
        PRIMARY KEY (snapshot_ts, account_type), {ROLES}""",
    "instruments": """security_id TEXT PRIMARY KEY, exchange_segment TEXT NOT NULL,
        symbol TEXT NOT NULL, name TEXT, instrument_type TEXT, expiry_date TEXT, strike_price REAL,
        option_type TEXT, lot_size INTEGER NOT NULL, tick_size REAL NOT NULL,
        underlying_security_id TEXT, meta TEXT, updated_at INTEGER NOT NULL""",
    "copy_mappings": """id INTEGER PRIMARY KEY AUTOINCREMENT, leader_order_id TEXT NOT NULL UNIQUE,
        follower_order_id TEXT UNIQUE, leader_quantity INTEGER NOT NULL,
        follower_quantity INTEGER NOT NULL, sizing_strategy TEXT, capital_ratio REAL,
        status TEXT NOT NULL, error_message TEXT, created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL, FOREIGN KEY (leader_order_id) REFERENCES orders (id),
        FOREIGN KEY (follower_order_id) REFERENCES orders (id),
        CHECK (status IN ('pending', 'placed', 'failed', 'cancelled'))""",
    "audit_log": f"""id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL,
        account_type TEXT NOT NULL, request_data TEXT, response_data TEXT, status_code INTEGER,
        error_message TEXT, duration_ms INTEGER, ts INTEGER NOT NULL, {ROLES}""",
    "config": """key TEXT PRIMARY KEY, value TEXT NOT NULL, description TEXT,
        updated_at INTEGER NOT NULL""",
}
INDEXES = """
    CREATE INDEX idx_orders_correlation ON orders (correlation_id);
    CREATE INDEX idx_orders_account ON orders (account_type, created_at);
    CREATE INDEX idx_order_events_order_ts ON order_events (order_id, event_ts);
    CREATE INDEX idx_trades_order ON trades (order_id);
    CREATE VIEW v_active_orders AS SELECT o.*, cm.follower_order_id, cm.sizing_strategy
        FROM orders o LEFT JOIN copy_mappings cm ON o.id = cm.leader_order_id
        WHERE o.status IN ('PENDING', 'OPEN') ORDER BY o.created_at DESC;
"""
SETTINGS = {
    "schema_version": "1",
    "last_leader_event_ts": "0",
    "copy_enabled": "true",
    "last_position_snapshot_ts": "0",
    "last_funds_snapshot_ts": "0",
}
# In the order in which the step to schema 2 adds them: a step that broke off has the first of them.
SECOND_COLUMNS = {
    "co_stop_loss_value": "REAL",
    "co_trigger_price": "REAL",
    "bo_profit_value": "REAL",
    "bo_stop_loss_value": "REAL",
    "bo_order_type": "TEXT",
    "parent_order_id": "TEXT",
    "leg_type": "TEXT",
}
LEGS = f"""id INTEGER PRIMARY KEY AUTOINCREMENT, parent_order_id TEXT NOT NULL,
    leg_order_id TEXT NOT NULL, leg_type TEXT NOT NULL, account_type TEXT NOT NULL,
    status TEXT DEFAULT 'PENDING', created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    UNIQUE (parent_order_id, leg_order_id, account_type), {ROLES},
    CHECK (leg_type IN ('ENTRY', 'TARGET', 'SL'))"""
# The columns that its writer of legs names, in the order in which its reader expects them. It named
# the leg's id order_id at first, and no account at any time.
LEGS_AS_WRITTEN = """id INTEGER PRIMARY KEY AUTOINCREMENT, parent_order_id TEXT, leg_type TEXT,
    {id} TEXT, status TEXT, quantity INTEGER, price REAL, trigger_price REAL, created_at INTEGER,
    updated_at INTEGER"""


class Original:
    """A database of schema 1; ``migrated`` makes it one of schema 2."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA foreign_keys = ON")
        self.db.execute("PRAGMA journal_mode = WAL")
        for name, columns in FIRST.items():
            self.db.execute(f"CREATE TABLE {name} ({columns})")
        self.db.executescript(INDEXES)
        for key, value in SETTINGS.items():
            self._insert("config", key=key, value=value, description="", updated_at=at())

    def migrated(self, columns: int = 7, legs: str = LEGS) -> Original:
        """Take the step to schema 2, or only its beginning: so many columns, and no more."""
        for name in list(SECOND_COLUMNS)[:columns]:
            self.db.execute(f"ALTER TABLE orders ADD COLUMN {name} {SECOND_COLUMNS[name]}")
        if columns == len(SECOND_COLUMNS) and legs:
            self.db.execute(f"CREATE TABLE bracket_order_legs ({legs})")
            self.db.execute("UPDATE config SET value = '2' WHERE key = 'schema_version'")
            for key in ("co_enabled", "bo_enabled"):
                self._insert("config", key=key, value="true", description="", updated_at=at())
        return self

    def order(self, name: str, account_type: str = "leader", **different: Any) -> None:
        """As ``save_order`` writes it, an order of the broker's words by default."""
        row = {
            "id": name,
            "account_type": account_type,
            "correlation_id": None,
            "status": "TRADED",
            "side": "BUY",
            "product": "INTRADAY",
            "order_type": "LIMIT",
            "validity": "DAY",
            "security_id": "2885",
            "exchange_segment": "NSE_EQ",
            "quantity": 10,
            "price": 1400.5,
            "trigger_price": 0.0,
            "disclosed_qty": 0,
            "created_at": at(),
            "updated_at": at(second=9),
            "raw_request": None,
            "raw_response": json.dumps({"orderId": name, "orderStatus": "PENDING"}),
        }
        self._insert("orders", **row | different)

    def event(self, order_id: str, event_type: str, sequence: int | None = None) -> None:
        self._insert("order_events", order_id=order_id, event_type=event_type, event_data="{}",
                     event_ts=at(), sequence=sequence)  # fmt: skip

    def trade(self, name: str, order_id: str, quantity: int, account_type: str = "leader") -> None:
        self._insert("trades", id=name, order_id=order_id, account_type=account_type,
                     trade_ts=at(), quantity=quantity, price=1400.5, exchange_segment="NSE_EQ",
                     security_id="2885", raw_data="{}")  # fmt: skip

    def mapping(self, leader: str, follower: str | None, status: str = "placed") -> None:
        self._insert("copy_mappings", leader_order_id=leader, follower_order_id=follower,
                     leader_quantity=10, follower_quantity=5, sizing_strategy="fixed_ratio",
                     capital_ratio=0.5, status=status, created_at=at(),
                     updated_at=at())  # fmt: skip

    def snapshots(self) -> None:
        """A position and the funds of each account, and a call in the audit log."""
        for role in ("leader", "follower"):
            self._insert("positions", snapshot_ts=at(), account_type=role, security_id="2885",
                         exchange_segment="NSE_EQ", quantity=10, avg_price=1400.5, realized_pl=0.0,
                         unrealized_pl=12.5, product="MIS", raw_data="{}")  # fmt: skip
            self._insert("funds", snapshot_ts=at(), account_type=role, available_balance=50000.0,
                         collateral=0.0, margin_used=0.0, raw_data="{}")  # fmt: skip
            self._insert("audit_log", action="place_order", account_type=role, request_data="{}",
                         status_code=200, duration_ms=31, ts=at())  # fmt: skip

    def instrument(self, security_id: str, segment: str, symbol: str, **more: Any) -> None:
        self._insert("instruments", security_id=security_id, exchange_segment=segment,
                     symbol=symbol, lot_size=75, tick_size=0.05, updated_at=at(),
                     **more)  # fmt: skip

    def leg(self, parent: str, name: str, leg_type: str, role: str = "leader") -> None:
        """As the step to schema 2 defines it."""
        self._insert("bracket_order_legs", parent_order_id=parent, leg_order_id=name,
                     leg_type=leg_type, account_type=role, created_at=at(),
                     updated_at=at())  # fmt: skip

    def written_leg(self, parent: str, name: str, leg_type: str, **different: Any) -> None:
        """As ``save_bracket_order_leg`` writes it, with its defaults."""
        columns = [row[1] for row in self.db.execute("PRAGMA table_info(bracket_order_legs)")]
        row = {"parent_order_id": parent, "leg_type": leg_type, columns[3]: name,
               "status": "PENDING", "quantity": 0, "price": 0, "trigger_price": 0,
               "created_at": at(), "updated_at": at()}  # fmt: skip
        self._insert("bracket_order_legs", **row | different)

    def done(self) -> Path:
        self.db.close()
        return self.path

    def _insert(self, table: str, **row: Any) -> None:
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        sql = f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})"
        self.db.execute(sql, tuple(row.values()))
