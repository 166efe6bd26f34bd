-- Each statement under the name by which served.py calls it.

-- name: create
CREATE TABLE IF NOT EXISTS served_queries (
    query_id TEXT PRIMARY KEY,
    binding  BLOB NOT NULL,
    issued   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS served_fragments (
    query_id TEXT NOT NULL,
    number   INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    issued   INTEGER NOT NULL,
    PRIMARY KEY (query_id, number, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS served_horizon (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    issued INTEGER NOT NULL
) STRICT;
INSERT INTO served_horizon VALUES (1, 0) ON CONFLICT DO NOTHING;

-- name: horizon
SELECT issued FROM served_horizon;

-- name: advance
UPDATE served_horizon SET issued = ?1 WHERE issued < ?1;

-- name: forget_fragments
DELETE FROM served_fragments WHERE issued < ?;

-- name: forget_queries
DELETE FROM served_queries WHERE issued < ?;

-- name: bind
INSERT INTO served_queries VALUES (?1, ?2, ?3)
ON CONFLICT DO UPDATE SET issued = max(issued, ?3) WHERE binding = ?2;

-- name: binding
SELECT binding FROM served_queries WHERE query_id = ?;

-- name: take
INSERT INTO served_fragments VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;
