-- Each statement under the name by which store.py calls it.

-- name: add_identity
INSERT INTO identity (only, origin, hash) VALUES (1, ?, ?);

-- name: identity
SELECT origin, hash FROM identity;

-- name: add_entry
INSERT INTO entries (position, leaf) VALUES (?, ?);

-- name: add_node
INSERT INTO nodes (position, hash) VALUES (?, ?);

-- name: add_checkpoint
INSERT INTO checkpoints (size, note) VALUES (?, ?);

-- name: add_cosignature
INSERT INTO cosignatures (size, line) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: entry
SELECT leaf FROM entries WHERE position = ?;

-- name: entries
SELECT position, leaf FROM entries WHERE position >= ? AND position < ? ORDER BY position;

-- name: entries_holding
SELECT position, leaf FROM entries
WHERE position >= ?3 AND instr(leaf, ?1) > 0 AND (length(?2) = 0 OR instr(leaf, ?2) > 0)
ORDER BY position;

-- name: entries_extent
SELECT count(*), coalesce(max(position), -1) FROM entries;

-- name: node
SELECT hash FROM nodes WHERE position = ?;

-- name: nodes
SELECT position, hash FROM nodes ORDER BY position;

-- name: latest_checkpoint
SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1;

-- name: checkpoint
SELECT note FROM checkpoints WHERE size = ?;

-- name: checkpoints
SELECT size, note FROM checkpoints ORDER BY size;

-- name: cosignatures
SELECT line FROM cosignatures WHERE size = ? ORDER BY line;

-- name: triggers
SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name;
