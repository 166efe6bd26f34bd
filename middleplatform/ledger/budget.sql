-- Privacy losses as integers over their own denominators: sums of integers are exact.
-- Each statement under the name by which budget.py calls it.

-- name: create
CREATE TABLE IF NOT EXISTS budget_snapshot (
    id       INTEGER PRIMARY KEY,
    dataset  TEXT NOT NULL,
    label    TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    UNIQUE (dataset, label)
) STRICT;
CREATE TABLE IF NOT EXISTS budget_reservation (
    id       INTEGER PRIMARY KEY,
    query_id TEXT NOT NULL,
    project  TEXT NOT NULL,
    analyst  TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('reserved', 'started', 'committed', 'released')),
    at       TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS budget_charge (
    reservation INTEGER NOT NULL REFERENCES budget_reservation,
    snapshot    INTEGER NOT NULL REFERENCES budget_snapshot,
    numerator   INTEGER NOT NULL CHECK (numerator > 0),
    denominator INTEGER NOT NULL CHECK (denominator > 0),
    PRIMARY KEY (reservation, snapshot)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS budget_spent (
    snapshot    INTEGER NOT NULL REFERENCES budget_snapshot,
    scope       TEXT NOT NULL CHECK (scope IN ('snapshot', 'project', 'analyst')),
    name        TEXT NOT NULL,
    denominator INTEGER NOT NULL,
    numerator   INTEGER NOT NULL CHECK (numerator >= 0),
    PRIMARY KEY (snapshot, scope, name, denominator)
) STRICT, WITHOUT ROWID;

-- name: current
SELECT id, label FROM budget_snapshot WHERE dataset = ? ORDER BY id DESC LIMIT 1;

-- name: begin
INSERT INTO budget_snapshot (dataset, label, begun_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: known
SELECT 1 FROM budget_snapshot WHERE dataset = ? AND label = ?;

-- name: snapshots
SELECT dataset, label, begun_at FROM budget_snapshot ORDER BY dataset, id;

-- name: spent
SELECT scope, numerator, denominator FROM budget_spent
WHERE snapshot = ?1 AND ((scope = 'snapshot' AND name = '') OR (scope = 'project' AND name = ?2)
    OR (scope = 'analyst' AND person(name) = person(?3)));

-- name: reserve
INSERT INTO budget_reservation (query_id, project, analyst, state, at) VALUES (?, ?, ?, 'reserved', ?);

-- name: charge
INSERT INTO budget_charge VALUES (?, ?, ?, ?);

-- name: add
INSERT INTO budget_spent (snapshot, scope, name, numerator, denominator) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET numerator = numerator + excluded.numerator;

-- name: take_back
UPDATE budget_spent SET numerator = numerator - ?4
WHERE snapshot = ?1 AND scope = ?2 AND name = ?3 AND denominator = ?5;

-- name: state
SELECT state, project, analyst FROM budget_reservation WHERE id = ? AND query_id = ?;

-- name: advance
UPDATE budget_reservation SET state = ? WHERE id = ?;

-- name: charges
SELECT snapshot, numerator, denominator FROM budget_charge WHERE reservation = ?;

-- name: entries
SELECT r.id, r.query_id, s.dataset, s.label, r.project, r.analyst, c.numerator, c.denominator, r.state, r.at
FROM budget_reservation AS r
JOIN budget_charge AS c ON c.reservation = r.id
JOIN budget_snapshot AS s ON s.id = c.snapshot
WHERE (?1 = '' OR s.dataset = ?1) AND (?2 = '' OR r.project = ?2) AND (?3 = '' OR person(r.analyst) = person(?3))
ORDER BY r.id, s.dataset;

-- name: totals
SELECT s.dataset, s.label, t.scope, t.name, t.numerator, t.denominator
FROM budget_spent AS t JOIN budget_snapshot AS s ON s.id = t.snapshot
ORDER BY s.dataset, s.id, t.scope, t.name, t.denominator;

-- name: wrong
WITH counted AS (
    SELECT c.snapshot, r.project, r.analyst, c.numerator, c.denominator
    FROM budget_charge AS c JOIN budget_reservation AS r ON r.id = c.reservation WHERE r.state <> 'released'
), summed AS (
    SELECT snapshot, 'snapshot' AS scope, '' AS name, denominator, SUM(numerator) AS numerator
    FROM counted GROUP BY snapshot, denominator
    UNION ALL
    SELECT snapshot, 'project', project, denominator, SUM(numerator)
    FROM counted GROUP BY snapshot, project, denominator
    UNION ALL
    SELECT snapshot, 'analyst', analyst, denominator, SUM(numerator)
    FROM counted GROUP BY snapshot, analyst, denominator
), kept AS (
    SELECT snapshot, scope, name, denominator, numerator FROM budget_spent WHERE numerator > 0
)
SELECT (SELECT COUNT(*) FROM (SELECT * FROM summed EXCEPT SELECT * FROM kept))
    + (SELECT COUNT(*) FROM (SELECT * FROM kept EXCEPT SELECT * FROM summed));
