-- name: create
CREATE TABLE IF NOT EXISTS population (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    dataset TEXT NOT NULL,
    shape TEXT NOT NULL,
    label TEXT NOT NULL,
    units_low INTEGER NOT NULL,
    units_high INTEGER NOT NULL,
    released_at TEXT NOT NULL,
    UNIQUE (project, dataset, shape, label)
) STRICT;
CREATE INDEX IF NOT EXISTS population_units ON population (dataset, project, units_low, units_high);
CREATE TABLE IF NOT EXISTS question (
    project TEXT NOT NULL,
    day TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    statement TEXT NOT NULL,
    PRIMARY KEY (project, day, fingerprint, statement)
) STRICT;
-- name: any
SELECT EXISTS (SELECT 1 FROM population WHERE project = ? AND dataset = ?);
-- name: near
SELECT shape, label, units_low, units_high FROM population
WHERE project = ? AND dataset = ? AND ((units_high >= ? AND units_low <= ?) OR (units_high >= ? AND units_low <= ?));
-- name: shapes
SELECT shape, label FROM population WHERE project = ? AND dataset = ? AND label <> '*' ORDER BY id;
-- name: pairs
SELECT p.shape, p.label, p.units_low, p.units_high, q.shape, q.label, q.units_low, q.units_high
FROM population AS p JOIN population AS q ON q.project = p.project AND q.dataset = p.dataset AND q.id <> p.id
WHERE p.project = ? AND p.dataset = ? AND p.units_high > q.units_low
  AND p.units_high - q.units_low >= ? AND p.units_low - q.units_high <= ?
ORDER BY p.id DESC, q.id DESC LIMIT ?;
-- name: add
INSERT INTO population (project, dataset, shape, label, units_low, units_high, released_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET units_low = excluded.units_low, units_high = excluded.units_high
WHERE units_low <> excluded.units_low OR units_high <> excluded.units_high;
-- name: ask
INSERT INTO question (project, day, fingerprint, statement) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;
-- name: asked
SELECT COUNT(*) FROM question WHERE project = ? AND day = ? AND fingerprint = ?;
