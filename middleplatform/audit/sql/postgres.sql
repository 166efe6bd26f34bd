-- The log in a PostgreSQL database that several gateways share: the tables of schema.sql in a schema of their own.
-- Each part under the name by which shared_store.py calls it.

-- The number is any that no other program's advisory lock has.
-- name: lock
SELECT pg_advisory_xact_lock(1836082279);

-- name: durable
SET LOCAL synchronous_commit = on;

-- A stopped process must not hold the others up for good: milliseconds.
-- name: impatient
SET LOCAL idle_in_transaction_session_timeout = 10000;

-- name: snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: exists
SELECT count(*) FROM information_schema.tables WHERE table_schema = 'audit_log';

-- name: create
CREATE SCHEMA audit_log;
CREATE TABLE audit_log.identity (
    one     integer PRIMARY KEY CHECK (one = 1),
    version integer NOT NULL,
    origin  text NOT NULL,
    hash    text NOT NULL
);
CREATE TABLE audit_log.entries (
    position bigint PRIMARY KEY CHECK (position >= 0),
    leaf     bytea NOT NULL
);
CREATE TABLE audit_log.nodes (
    position bigint PRIMARY KEY CHECK (position >= 0),
    hash     bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE TABLE audit_log.checkpoints (
    size bigint PRIMARY KEY CHECK (size >= 0),
    note text NOT NULL
);
CREATE TABLE audit_log.cosignatures (
    size bigint NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (size, line)
);
CREATE FUNCTION audit_log.refuse() RETURNS trigger LANGUAGE plpgsql AS
$refuse$BEGIN RAISE EXCEPTION 'the log is append-only'; END$refuse$;

-- name: guard
CREATE TRIGGER {table}_change BEFORE UPDATE OR DELETE ON audit_log.{table}
    FOR EACH ROW EXECUTE FUNCTION audit_log.refuse();
ALTER TABLE audit_log.{table} ENABLE ALWAYS TRIGGER {table}_change;
CREATE TRIGGER {table}_truncate BEFORE TRUNCATE ON audit_log.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log.refuse();
ALTER TABLE audit_log.{table} ENABLE ALWAYS TRIGGER {table}_truncate;
REVOKE UPDATE, DELETE, TRUNCATE ON audit_log.{table} FROM PUBLIC, CURRENT_USER;

-- name: guards
SELECT t.tgname, c.relname, t.tgtype, t.tgenabled = 'A', t.tgqual IS NULL, p.proname, p.prosrc
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
WHERE n.nspname = 'audit_log' AND NOT t.tgisinternal
ORDER BY t.tgname;

-- name: add_identity
INSERT INTO audit_log.identity (one, version, origin, hash) VALUES (1, :version, :origin, :hash);

-- name: version
SELECT version FROM audit_log.identity;

-- name: identity
SELECT origin, hash FROM audit_log.identity;

-- name: add_entries
INSERT INTO audit_log.entries (position, leaf)
SELECT * FROM unnest(CAST(:positions AS bigint[]), CAST(:values AS bytea[]));

-- name: add_nodes
INSERT INTO audit_log.nodes (position, hash)
SELECT * FROM unnest(CAST(:positions AS bigint[]), CAST(:values AS bytea[]));

-- name: add_checkpoint
INSERT INTO audit_log.checkpoints (size, note) VALUES (:size, :note);

-- name: add_cosignature
INSERT INTO audit_log.cosignatures (size, line) VALUES (:size, :line) ON CONFLICT DO NOTHING;

-- name: entry
SELECT leaf FROM audit_log.entries WHERE position = :position;

-- name: entries
SELECT position, leaf FROM audit_log.entries WHERE position >= :start AND position < :stop
ORDER BY position LIMIT :page;

-- name: entries_holding
SELECT position, leaf FROM audit_log.entries
WHERE position >= :start AND position(:first IN leaf) > 0
    AND (length(:second) = 0 OR position(:second IN leaf) > 0)
ORDER BY position LIMIT :page;

-- name: entries_extent
SELECT count(*), coalesce(max(position), -1) FROM audit_log.entries;

-- name: some_nodes
SELECT position, hash FROM audit_log.nodes WHERE position = ANY(CAST(:positions AS bigint[]));

-- name: nodes
SELECT position, hash FROM audit_log.nodes WHERE position >= :start ORDER BY position LIMIT :page;

-- name: latest_checkpoint
SELECT size, note FROM audit_log.checkpoints ORDER BY size DESC LIMIT 1;

-- name: checkpoint
SELECT note FROM audit_log.checkpoints WHERE size = :size;

-- name: checkpoints
SELECT size, note FROM audit_log.checkpoints WHERE size >= :start ORDER BY size LIMIT :page;

-- name: cosignatures
SELECT line FROM audit_log.cosignatures WHERE size = :size ORDER BY line;
