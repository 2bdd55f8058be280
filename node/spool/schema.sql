-- The rows of the spool, version 4. Times are seconds since the epoch.
-- SECURITY: UIDs and routing facts only; no patient attribute has a column.

-- name: schema

CREATE TABLE entry (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    state                 TEXT NOT NULL CHECK (
        state IN ('received', 'ready', 'done', 'held', 'parked', 'discarded')),
    sop_class_uid         TEXT NOT NULL,
    sop_instance_uid      TEXT NOT NULL,
    study_instance_uid    TEXT NOT NULL,
    series_instance_uid   TEXT NOT NULL,
    transfer_syntax_uid   TEXT NOT NULL,
    blob                  TEXT NOT NULL,              -- SHA-256, hex: the object as received
    size                  INTEGER NOT NULL,
    attributes            TEXT NOT NULL,              -- JSON: what routes may match on
    calling_aet           TEXT NOT NULL,
    called_aet            TEXT NOT NULL,
    address               TEXT NOT NULL,
    source                TEXT NOT NULL,
    received_at           REAL NOT NULL,
    route                 TEXT NOT NULL,
    action                TEXT NOT NULL,
    priority              INTEGER NOT NULL,
    sealed                TEXT NOT NULL DEFAULT '',   -- SHA-256, hex: the object to send
    sealed_class_uid      TEXT NOT NULL DEFAULT '',
    sealed_instance_uid   TEXT NOT NULL DEFAULT '',
    sealed_syntax_uid     TEXT NOT NULL DEFAULT '',
    attempts              INTEGER NOT NULL DEFAULT 0, -- claims, whatever became of them
    crashes               INTEGER NOT NULL DEFAULT 0, -- claims in a row that ended without a word
    not_before            REAL NOT NULL DEFAULT 0,    -- 0: due now
    token                 INTEGER NOT NULL DEFAULT 0, -- fences; one more with each claim
    worker                TEXT NOT NULL DEFAULT '',
    leased_until          REAL,                       -- NULL: nobody works on it
    reason                TEXT NOT NULL DEFAULT '',
    since                 REAL NOT NULL,              -- when it began to wait
    ended_at              REAL,                       -- when nothing was left to do for it
    threshold             INTEGER NOT NULL DEFAULT 0  -- shares that give it back; 0: sent whole
) STRICT;

CREATE INDEX entry_uid      ON entry (sop_instance_uid, blob);
CREATE INDEX entry_state    ON entry (state);
CREATE INDEX entry_blob     ON entry (blob);
CREATE INDEX entry_sealed   ON entry (sealed) WHERE sealed <> '';
CREATE INDEX entry_renamed  ON entry (sealed_instance_uid)
    WHERE sealed_instance_uid <> '' AND sealed_instance_uid <> sop_instance_uid;
CREATE INDEX entry_ended    ON entry (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX entry_leased   ON entry (leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX entry_waiting  ON entry (since) WHERE state = 'received';
CREATE INDEX entry_due      ON entry (priority DESC, id)
    WHERE state = 'received' AND leased_until IS NULL AND not_before = 0;
CREATE INDEX entry_deferred ON entry (not_before)
    WHERE state = 'received' AND not_before > 0;

CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    entry        INTEGER NOT NULL REFERENCES entry (id) ON DELETE CASCADE,
    destination  TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (
        state IN ('waiting', 'pending', 'sent', 'verified', 'parked', 'discarded')),
    priority     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    crashes      INTEGER NOT NULL DEFAULT 0,
    not_before   REAL NOT NULL DEFAULT 0,
    token        INTEGER NOT NULL DEFAULT 0,
    worker       TEXT NOT NULL DEFAULT '',
    leased_until REAL,
    reason       TEXT NOT NULL DEFAULT '',
    since        REAL NOT NULL,                       -- when it began to wait to be sent
    readback_at  REAL,                                -- NULL: not to be read back (any more)
    lost         INTEGER NOT NULL DEFAULT 0,          -- how often it was not there any more
    commit_at    REAL,                                -- when to ask for commitment; NULL: not (any more)
    asked        INTEGER NOT NULL DEFAULT 0,          -- how often that was done
    committed_at REAL,                                -- when the destination committed to keep it
    transaction_uid TEXT NOT NULL DEFAULT '',         -- of the commitment that was asked for
    share        INTEGER NOT NULL DEFAULT 0,          -- number of the share sent; 0: the whole
    blob         TEXT NOT NULL DEFAULT '',            -- SHA-256, hex: that share's object
    class_uid    TEXT NOT NULL DEFAULT '',
    instance_uid TEXT NOT NULL DEFAULT '',
    syntax_uid   TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX delivery_entry       ON delivery (entry, destination);
CREATE INDEX        delivery_destination ON delivery (destination, entry);
CREATE INDEX        delivery_blob        ON delivery (blob) WHERE blob <> '';
CREATE INDEX        delivery_leased      ON delivery (leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX        delivery_waiting     ON delivery (destination, since) WHERE state = 'pending';
CREATE INDEX        delivery_due         ON delivery (destination, priority DESC, id)
    WHERE state = 'pending' AND leased_until IS NULL AND not_before = 0;
CREATE INDEX        delivery_deferred    ON delivery (destination, not_before)
    WHERE state = 'pending' AND not_before > 0;
CREATE INDEX        delivery_readback    ON delivery (destination, readback_at)
    WHERE readback_at IS NOT NULL AND leased_until IS NULL;
CREATE INDEX        delivery_commit      ON delivery (destination, commit_at)
    WHERE commit_at IS NOT NULL;
CREATE INDEX        delivery_transaction ON delivery (transaction_uid) WHERE transaction_uid <> '';

-- What sources asked the node to commit to, and is not yet reported.
CREATE TABLE promise (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_uid TEXT NOT NULL,
    source          TEXT NOT NULL,
    since           REAL NOT NULL,
    due             REAL NOT NULL,                    -- when it is looked at again
    attempts        INTEGER NOT NULL DEFAULT 0        -- reports that did not arrive
) STRICT;
CREATE UNIQUE INDEX promise_transaction ON promise (source, transaction_uid);
CREATE INDEX        promise_due         ON promise (due);
CREATE TABLE promised (
    promise          INTEGER NOT NULL REFERENCES promise (id) ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL,
    sop_class_uid    TEXT NOT NULL,
    PRIMARY KEY (promise, sop_instance_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX promised_uid ON promised (sop_instance_uid);

-- What was found in objects that came back: how often, by day (since 1970, UTC).
CREATE TABLE verdict (
    day         INTEGER NOT NULL,
    destination TEXT NOT NULL,
    modality    TEXT NOT NULL,
    verdict     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    PRIMARY KEY (day, destination, modality, verdict)
) STRICT, WITHOUT ROWID;

-- Counts by state, kept by triggers, so that asking costs the same however long the queue is.
-- The entries' have the destination ''.
CREATE TABLE tally (
    destination TEXT NOT NULL,
    state       TEXT NOT NULL,
    number      INTEGER NOT NULL,
    PRIMARY KEY (destination, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
    INSERT INTO tally VALUES ('', new.state, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER entry_moved AFTER UPDATE OF state ON entry WHEN old.state <> new.state BEGIN
    UPDATE tally SET number = number - 1 WHERE destination = '' AND state = old.state;
    INSERT INTO tally VALUES ('', new.state, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entry BEGIN
    UPDATE tally SET number = number - 1 WHERE destination = '' AND state = old.state;
    INSERT OR IGNORE INTO garbage (blob) VALUES (old.blob);
    INSERT OR IGNORE INTO garbage (blob) SELECT old.sealed WHERE old.sealed <> '';
END;
CREATE TRIGGER entry_resealed AFTER UPDATE OF sealed ON entry
WHEN old.sealed <> '' AND old.sealed <> new.sealed BEGIN
    INSERT OR IGNORE INTO garbage (blob) VALUES (old.sealed);
END;
CREATE TRIGGER delivery_added AFTER INSERT ON delivery BEGIN
    INSERT INTO tally VALUES (new.destination, new.state, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF state ON delivery WHEN old.state <> new.state BEGIN
    UPDATE tally SET number = number - 1 WHERE destination = old.destination AND state = old.state;
    INSERT INTO tally VALUES (new.destination, new.state, 1)
        ON CONFLICT DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER delivery_removed AFTER DELETE ON delivery BEGIN
    UPDATE tally SET number = number - 1 WHERE destination = old.destination AND state = old.state;
    INSERT OR IGNORE INTO garbage (blob) SELECT old.blob WHERE old.blob <> '';
END;
CREATE TRIGGER delivery_reshared AFTER UPDATE OF blob ON delivery
WHEN old.blob <> '' AND old.blob <> new.blob BEGIN
    INSERT OR IGNORE INTO garbage (blob) VALUES (old.blob);
END;

-- Blobs that a row named and names no more; the reaper deletes them.
CREATE TABLE garbage (
    id   INTEGER PRIMARY KEY,
    blob TEXT NOT NULL UNIQUE
) STRICT;

-- Audit events on their way to the audit log. Numbers rise without gaps, for ever.
CREATE TABLE outbox (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    at    REAL NOT NULL,
    event TEXT NOT NULL                               -- JSON
) STRICT;
