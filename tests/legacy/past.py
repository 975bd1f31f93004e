"""Write a copy trader's database from its published schema, whole or in any state of disrepair."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")
V1 = """
CREATE TABLE orders (id TEXT PRIMARY KEY, account_type TEXT, correlation_id TEXT, status TEXT,
    side TEXT, product TEXT, order_type TEXT, validity TEXT, security_id TEXT,
    exchange_segment TEXT, quantity INTEGER, price REAL, trigger_price REAL, disclosed_qty INTEGER,
    created_at INTEGER, updated_at INTEGER, raw_request TEXT, raw_response TEXT);
CREATE TABLE order_events (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT, event_type TEXT,
    event_data TEXT, event_ts INTEGER);
CREATE TABLE trades (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT, trade_id TEXT,
    quantity INTEGER, price REAL, trade_ts INTEGER);
CREATE TABLE positions (id INTEGER PRIMARY KEY AUTOINCREMENT, account_type TEXT, security_id TEXT,
    exchange_segment TEXT, quantity INTEGER, average_price REAL, updated_at INTEGER);
CREATE TABLE funds (id INTEGER PRIMARY KEY AUTOINCREMENT, account_type TEXT, available REAL,
    utilized REAL, snapshot_ts INTEGER);
CREATE TABLE instruments (security_id TEXT, exchange_segment TEXT, symbol TEXT,
    instrument_type TEXT, expiry_date TEXT, strike_price REAL, option_type TEXT, lot_size INTEGER,
    tick_size REAL, PRIMARY KEY (security_id, exchange_segment));
CREATE TABLE copy_mappings (id INTEGER PRIMARY KEY AUTOINCREMENT, leader_order_id TEXT,
    follower_order_id TEXT, status TEXT, created_at INTEGER);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT, account_type TEXT,
    request_data TEXT, response_data TEXT, timestamp INTEGER);
CREATE TABLE config (key TEXT PRIMARY KEY, value TEXT);
"""
V2_COLUMNS = {
    "co_stop_loss_value": "REAL",
    "co_trigger_price": "REAL",
    "bo_profit_value": "REAL",
    "bo_stop_loss_value": "REAL",
    "bo_order_type": "TEXT",
    "parent_order_id": "TEXT",
    "leg_type": "TEXT",
}
V2_LEGS = """
CREATE TABLE bracket_order_legs (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_order_id TEXT,
    leg_order_id TEXT, leg_type TEXT, account_type TEXT, status TEXT, created_at INTEGER,
    updated_at INTEGER);
"""
MIXED_UP_LEGS = """
CREATE TABLE bracket_order_legs (id INTEGER PRIMARY KEY AUTOINCREMENT, parent_order_id TEXT,
    order_id TEXT, leg_type TEXT, account_type TEXT, quantity INTEGER, price REAL,
    trigger_price REAL, status TEXT, created_at INTEGER, updated_at INTEGER);
"""


def at(days_ago: int = 30, hour: int = 10, minute: int = 0, second: int = 0) -> int:
    """Seconds since 1970 of a time of day in India, some days ago."""
    day = dt.datetime.now(IST).date() - dt.timedelta(days=days_ago)
    return int(dt.datetime.combine(day, dt.time(hour, minute, second), IST).timestamp())


def order(name: str, **different: Any) -> dict[str, Any]:
    """A filled buy of ten RELIANCE by the leader, with whatever the test wants different."""
    plain = {
        "id": name,
        "account_type": "leader",
        "correlation_id": f"copy-{name}",
        "status": "TRADED",
        "side": "BUY",
        "product": "INTRADAY",
        "order_type": "LIMIT",
        "validity": "DAY",
        "security_id": "2885",
        "exchange_segment": "NSE_EQ",
        "quantity": 10,
        "price": 1400.5,
        "trigger_price": None,
        "disclosed_qty": 0,
        "created_at": at(),
        "updated_at": at(second=9),
        "raw_request": '{"dhanClientId": "1000000001", "quantity": 10}',
        "raw_response": '{"orderId": "' + name + '", "orderStatus": "TRANSIT"}',
    }
    return plain | different


def leg(parent: str, name: str | None, kind: str, **different: Any) -> dict[str, Any]:
    """One leg of the leader's bracket."""
    plain = {
        "parent_order_id": parent,
        "leg_order_id": name,
        "leg_type": kind,
        "account_type": "leader",
        "status": "PENDING",
        "created_at": at(),
        "updated_at": at(second=9),
    }
    return plain | different


class Past:
    """A database being written."""

    def __init__(
        self,
        path: Path,
        version: str | None = "1",
        columns: tuple[str, ...] = (),
        legs: str = "",
    ) -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(V1)
        for column in columns:
            self.db.execute(f"ALTER TABLE orders ADD COLUMN {column} {V2_COLUMNS[column]}")
        if legs:
            self.db.executescript(legs)
        if version is not None:
            self.add("config", key="schema_version", value=version)

    @classmethod
    def second(cls, path: Path, legs: str = V2_LEGS) -> Past:
        """One of version 2, complete."""
        return cls(path, "2", tuple(V2_COLUMNS), legs)

    def add(self, table: str, **row: Any) -> None:
        columns = ", ".join(f'"{name}"' for name in row)
        places = ", ".join("?" * len(row))
        self.db.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({places})', tuple(row.values()))

    def orders(self, *rows: dict[str, Any]) -> Past:
        for row in rows:
            self.add("orders", **row)
        return self

    def legs(self, *rows: dict[str, Any]) -> Past:
        for row in rows:
            self.add("bracket_order_legs", **row)
        return self

    def done(self) -> Path:
        self.db.close()
        return self.path


def a_bracket(past: Past, name: str = "100", mixed: bool = False) -> Past:
    """An entry that filled, its target that filled, and its stop that was cancelled."""
    past.orders(
        order(name, product="BO", bo_profit_value=20.0, bo_stop_loss_value=10.0),
        order(f"{name}1", side="SELL", product="BO", price=1420.5, leg_type="TARGET",
              parent_order_id=name),
        order(f"{name}2", side="SELL", product="BO", order_type="STOP_LOSS", status="CANCELLED",
              price=1390.0, trigger_price=1390.5, leg_type="SL", parent_order_id=name),
    )  # fmt: skip
    kinds = (("ENTRY", name, "TRADED"), ("TARGET", f"{name}1", "TRADED"),
             ("SL", f"{name}2", "CANCELLED"))  # fmt: skip
    for kind, own, status in kinds:
        row = leg(name, own, kind, status=status)
        if mixed:
            row |= {"order_id": row.pop("leg_order_id"), "quantity": 10, "price": 1400.5}
        past.legs(row)
    return past
