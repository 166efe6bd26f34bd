-- Each statement under the name by which noisy_answers.py calls it.

-- name: create
CREATE TABLE IF NOT EXISTS noisy_answer (
    question BLOB PRIMARY KEY,
    words    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- name: find
SELECT words FROM noisy_answer WHERE question = ?;

-- name: keep
INSERT INTO noisy_answer VALUES (?, ?) ON CONFLICT DO NOTHING;
