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
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    planes BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS block (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    project TEXT NOT NULL,
    dataset TEXT NOT NULL,
    kind TEXT NOT NULL,
    shape TEXT NOT NULL,
    universe INTEGER NOT NULL REFERENCES content (id),
    least INTEGER NOT NULL,
    released_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS member (
    id INTEGER PRIMARY KEY,
    block INTEGER NOT NULL REFERENCES block (id),
    holder INTEGER NOT NULL,
    label TEXT NOT NULL,
    content INTEGER NOT NULL REFERENCES content (id),
    units INTEGER NOT NULL,
    rest INTEGER NOT NULL,
    shown INTEGER NOT NULL,
    counted INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holder (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    dataset TEXT NOT NULL,
    kind TEXT NOT NULL,
    UNIQUE (project, dataset, kind)
) STRICT;
CREATE INDEX IF NOT EXISTS member_units ON member (holder, shown, units);
CREATE INDEX IF NOT EXISTS member_rest ON member (holder, shown, rest);
CREATE INDEX IF NOT EXISTS member_content ON member (holder, content);
CREATE INDEX IF NOT EXISTS member_block ON member (block);
CREATE INDEX IF NOT EXISTS member_counted ON member (holder, id) WHERE counted;
-- name: any
SELECT EXISTS (SELECT 1 FROM population WHERE project = ? AND dataset = ?)
    OR EXISTS (SELECT 1 FROM holder WHERE project = ? AND dataset = ?);
-- name: sizes_only
SELECT EXISTS (SELECT 1 FROM population);
-- name: near
SELECT shape, label, units_low, units_high FROM population
WHERE project = ? AND dataset = ? AND ((units_high >= ? AND units_low <= ?) OR (units_high >= ? AND units_low <= ?));
-- name: add
INSERT INTO population (project, dataset, shape, label, units_low, units_high, released_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET units_low = excluded.units_low, units_high = excluded.units_high
WHERE units_low <> excluded.units_low OR units_high <> excluded.units_high;
-- name: ask
INSERT INTO question (project, day, fingerprint, statement) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING;
-- name: asked
SELECT COUNT(*) FROM question WHERE project = ? AND day = ? AND fingerprint = ?;
-- name: holder
SELECT id FROM holder WHERE project = ? AND dataset = ? AND kind = ?;
-- name: hold
INSERT INTO holder (project, dataset, kind) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;
-- name: content
SELECT planes FROM content WHERE id = ?;
-- name: content_of
SELECT id FROM content WHERE digest = ?;
-- name: keep
INSERT INTO content (digest, planes) VALUES (?, ?);
-- name: seen
SELECT EXISTS (SELECT 1 FROM content AS c JOIN member AS m ON m.holder = ? AND m.content = c.id AND m.shown
    JOIN block AS b ON b.id = m.block JOIN content AS u ON u.id = b.universe
    WHERE c.digest = ? AND u.digest = ? AND b.least >= ?);
-- name: by_units
SELECT DISTINCT content, 0 FROM member WHERE holder = ? AND shown = 1 AND units BETWEEN ? AND ?;
-- name: by_rest
SELECT DISTINCT m.content, b.universe FROM member AS m JOIN block AS b ON b.id = m.block
WHERE m.holder = ? AND m.shown = 1 AND m.rest BETWEEN ? AND ?;
-- name: counted
SELECT DISTINCT content FROM member WHERE holder = ? AND counted;
-- name: larger
SELECT DISTINCT content FROM member WHERE holder = ? AND shown = 1 AND units >= ?
ORDER BY content DESC;
-- name: withheld
SELECT m.block, b.shape, m.content FROM member AS m JOIN block AS b ON b.id = m.block
WHERE m.holder = ? AND m.shown = 0 AND m.units < ?;
-- name: cells
SELECT content, shown FROM member WHERE block = ? AND label <> '*';
-- name: shown
SELECT DISTINCT m.content FROM member AS m JOIN block AS b ON b.id = m.block
WHERE m.holder = ? AND m.shown = 1 AND m.label <> '*' AND b.shape <> ? AND m.units >= ?;
-- name: block
INSERT INTO block (digest, project, dataset, kind, shape, universe, least, released_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id;
-- name: member
INSERT INTO member (block, holder, label, content, units, rest, shown, counted) VALUES (?, ?, ?, ?, ?, ?, ?, ?);
