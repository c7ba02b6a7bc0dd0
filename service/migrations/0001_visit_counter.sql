-- Run as one statement string, so in one transaction. The lock is there because two concurrent
-- CREATE TABLE IF NOT EXISTS can both find no table, and then one of them fails.
SELECT pg_advisory_xact_lock(hashtext('visit_counter'));

-- Half of each block stays free for the new versions of a row that is written all the time.
CREATE TABLE IF NOT EXISTS visit_counter (
    page       text PRIMARY KEY,
    visits     bigint NOT NULL DEFAULT 0 CHECK (visits >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

INSERT INTO visit_counter (page) VALUES ('homepage') ON CONFLICT DO NOTHING;
