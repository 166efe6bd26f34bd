-- name: create
CREATE TABLE IF NOT EXISTS sealing_key (
    id TEXT PRIMARY KEY,
    document BLOB NOT NULL,
    proof BLOB NOT NULL,
    modulus BLOB NOT NULL UNIQUE,
    login TEXT NOT NULL,
    department TEXT NOT NULL,
    published_at TEXT NOT NULL,
    replaces TEXT NOT NULL,
    revoked_at TEXT,
    revoked_by TEXT,
    reason TEXT
) STRICT;
-- name: add
INSERT INTO sealing_key (id, document, proof, modulus, login, department, published_at, replaces)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);
-- name: revoke
UPDATE sealing_key SET revoked_at = ?, revoked_by = ?, reason = ? WHERE id = ? AND revoked_at IS NULL;
-- name: find
SELECT id, document, proof, login, department, published_at, replaces, revoked_at, revoked_by, reason
FROM sealing_key WHERE id = ?;
-- name: all
SELECT id, document, proof, login, department, published_at, replaces, revoked_at, revoked_by, reason
FROM sealing_key ORDER BY published_at, id;
