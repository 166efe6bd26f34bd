-- The log's tables. Rows are added and never changed: the triggers say so to whoever opens the file with other tools;
-- the tree and the signature say so to everybody.
PRAGMA application_id = 1296649031;  -- "MLOG"
PRAGMA user_version = 1;

CREATE TABLE identity (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    origin TEXT NOT NULL,
    hash   TEXT NOT NULL
) STRICT;

CREATE TABLE entries (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    leaf     BLOB NOT NULL
) STRICT;

-- Complete subtrees, in the order in which appending completes them (merkle.node_position).
CREATE TABLE nodes (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    hash     BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- Every checkpoint that was ever signed: one for each group commit.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY CHECK (size >= 0),
    note TEXT NOT NULL
) STRICT;

CREATE TABLE cosignatures (
    size INTEGER NOT NULL REFERENCES checkpoints (size),
    line TEXT NOT NULL,
    PRIMARY KEY (size, line)
) STRICT;

CREATE TRIGGER identity_update BEFORE UPDATE ON identity BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER identity_delete BEFORE DELETE ON identity BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER entries_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER entries_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER nodes_update BEFORE UPDATE ON nodes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER nodes_delete BEFORE DELETE ON nodes BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER checkpoints_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER checkpoints_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER cosignatures_update BEFORE UPDATE ON cosignatures BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER cosignatures_delete BEFORE DELETE ON cosignatures BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- INSERT OR REPLACE deletes without firing a delete trigger unless recursive triggers are on: refuse it by hand.
CREATE TRIGGER entries_replace BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER checkpoints_replace BEFORE INSERT ON checkpoints
WHEN EXISTS (SELECT 1 FROM checkpoints WHERE size = NEW.size)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER nodes_replace BEFORE INSERT ON nodes
WHEN EXISTS (SELECT 1 FROM nodes WHERE position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER identity_replace BEFORE INSERT ON identity
WHEN EXISTS (SELECT 1 FROM identity)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
