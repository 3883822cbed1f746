"""The tables, as migrations that are only ever appended.

A *kind* is one distinct combination of the labels an attempt carries (model, status, ...), a
*series* one of a kind and tags. An attempt row is then its numbers and one small integer. The
rollups by day and hour are kept by kind, so that they stay small however many values the tags have:
a few hundred kinds answer any question about labels. One by series answers those about tags.
"""

from __future__ import annotations

from typing import Final

from frugal_chains.usage import COUNT_FIELDS

APPLICATION_ID: Final = 0x4652_4741  # "FRGA", kept in the SQLite header: this file is a ledger

KIND_COLUMNS: Final = (
    "framework",
    "provider",
    "model",
    "model_asked",
    "purpose",
    "status",
    "error_kind",
    "streamed",
    "service_tier",
    "usage_source",
    "outcome",
    "price_id",
    "unpriced_reason",
)
LABEL_COLUMNS: Final = (*KIND_COLUMNS, "tags")
COST_COLUMNS: Final = (
    "nanos",
    "input_nanos",
    "cache_read_nanos",
    "cache_write_nanos",
    "output_nanos",
    "fee_nanos",
)
SUM_COLUMNS: Final = (*COUNT_FIELDS, *COST_COLUMNS)
ROW_COLUMNS: Final = (
    "id",
    "operation_id",
    "at_us",
    "latency_us",
    "first_token_us",
    "run_id",
    "parent_id",
    "thread_id",
    "note",
    "decision",
    *SUM_COLUMNS,
    "series",  # last: it is known only inside the write transaction
)

EFFECT_COLUMNS: Final = (
    "id",
    "operation_id",
    "at_us",
    "lever",
    "tokens_before",
    "tokens_after",
    "exact",
    "provider",
    "model",
    "net_nanos",
    "kind",
    "detail",
    "tags",
)

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000

_MIGRATION_1 = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE kinds (
    id INTEGER PRIMARY KEY,
    {", ".join(f"{c} TEXT NOT NULL" for c in KIND_COLUMNS)},
    UNIQUE ({", ".join(KIND_COLUMNS)})
);
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL REFERENCES kinds (id),
    tags TEXT NOT NULL,
    UNIQUE (kind, tags)
);

CREATE TABLE attempts (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    operation_id BLOB,
    at_us INTEGER NOT NULL,
    series INTEGER NOT NULL REFERENCES series (id),
    latency_us INTEGER,
    first_token_us INTEGER,
    run_id BLOB,
    parent_id BLOB,
    thread_id TEXT,
    note TEXT,
    decision TEXT,
    {", ".join(f"{c} INTEGER NOT NULL" for c in SUM_COLUMNS)},
    opens_operation INTEGER NOT NULL
);
CREATE INDEX attempts_operation ON attempts (operation_id);

CREATE TABLE daily (
    kind INTEGER NOT NULL,
    day INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    {", ".join(f"{c} INTEGER NOT NULL" for c in SUM_COLUMNS)},
    PRIMARY KEY (kind, day)
) WITHOUT ROWID;
CREATE TABLE hourly (
    hour INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    {", ".join(f"{c} INTEGER NOT NULL" for c in SUM_COLUMNS)},
    PRIMARY KEY (hour, kind)
) WITHOUT ROWID;
CREATE TABLE daily_tagged (
    day INTEGER NOT NULL,
    series INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    {", ".join(f"{c} INTEGER NOT NULL" for c in SUM_COLUMNS)},
    PRIMARY KEY (day, series)
) WITHOUT ROWID;
CREATE TABLE folded (seq INTEGER NOT NULL);
INSERT INTO folded VALUES (0);

CREATE TABLE meters (
    window TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (window, tag)
) WITHOUT ROWID;
CREATE TABLE meter_sums (
    key TEXT PRIMARY KEY,
    spent_nanos INTEGER NOT NULL,
    reserved_nanos INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    touched_us INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE reservations (
    id BLOB PRIMARY KEY,
    expires_us INTEGER NOT NULL,
    if_lost TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX reservations_age ON reservations (expires_us);
CREATE TABLE claims (
    reservation BLOB NOT NULL,
    key TEXT NOT NULL,
    nanos INTEGER NOT NULL,
    PRIMARY KEY (reservation, key)
) WITHOUT ROWID;
"""

_MIGRATION_2 = """
CREATE TABLE effects (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    operation_id BLOB,
    at_us INTEGER NOT NULL,
    lever TEXT NOT NULL,
    tokens_before INTEGER NOT NULL,
    tokens_after INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    net_nanos INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    tags TEXT NOT NULL,
    opens_operation INTEGER NOT NULL
);
CREATE INDEX effects_operation ON effects (operation_id, lever);
CREATE TABLE effects_daily (
    day INTEGER NOT NULL,
    lever TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    effects INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    inexact INTEGER NOT NULL,
    tokens_before INTEGER NOT NULL,
    tokens_after INTEGER NOT NULL,
    net_nanos INTEGER NOT NULL,
    unvalued INTEGER NOT NULL,
    PRIMARY KEY (day, lever, kind, provider, model)
) WITHOUT ROWID;
"""

_MIGRATION_3 = """
CREATE TABLE prints (id BLOB PRIMARY KEY, prints TEXT NOT NULL) WITHOUT ROWID;
"""
# A table of their own: a row without fingerprints stays as small as it was.

MIGRATIONS: Final = (_MIGRATION_1, _MIGRATION_2, _MIGRATION_3)
"""Entry n takes a ledger from version n to n + 1. Never edit a landed entry: append."""
READABLE_FROM: Final = 1
"""The oldest version that can be read as it is; an older one must first be migrated."""
EFFECTS_SINCE_VERSION: Final = 2
"""What is read of a file of an earlier version has no effects in it."""
PRINTS_SINCE_VERSION: Final = 3
"""The same of fingerprints of requests."""
