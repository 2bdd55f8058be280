-- What brings an older ledger up to date, one version at a time; schema.sql makes new ones.

-- name: to_2

ALTER TABLE delivery ADD COLUMN commit_at REAL;
ALTER TABLE delivery ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN committed_at REAL;
ALTER TABLE delivery ADD COLUMN transaction_uid TEXT NOT NULL DEFAULT '';
DROP INDEX delivery_open;
CREATE INDEX delivery_commit ON delivery (destination, commit_at)
    WHERE commit_at IS NOT NULL;
CREATE INDEX delivery_transaction ON delivery (transaction_uid) WHERE transaction_uid <> '';
CREATE TABLE promise (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    transaction_uid TEXT NOT NULL,
    source          TEXT NOT NULL,
    since           REAL NOT NULL,
    due             REAL NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX promise_transaction ON promise (source, transaction_uid);
CREATE INDEX promise_due ON promise (due);
CREATE TABLE promised (
    promise          INTEGER NOT NULL REFERENCES promise (id) ON DELETE CASCADE,
    sop_instance_uid TEXT NOT NULL,
    sop_class_uid    TEXT NOT NULL,
    PRIMARY KEY (promise, sop_instance_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX promised_uid ON promised (sop_instance_uid);

-- name: to_3

ALTER TABLE entry ADD COLUMN threshold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN share INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN blob TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN class_uid TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN instance_uid TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN syntax_uid TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_blob ON delivery (blob) WHERE blob <> '';
DROP TRIGGER delivery_removed;
CREATE TRIGGER delivery_removed AFTER DELETE ON delivery BEGIN
    UPDATE tally SET number = number - 1 WHERE destination = old.destination AND state = old.state;
    INSERT OR IGNORE INTO garbage (blob) SELECT old.blob WHERE old.blob <> '';
END;
CREATE TRIGGER delivery_reshared AFTER UPDATE OF blob ON delivery
WHEN old.blob <> '' AND old.blob <> new.blob BEGIN
    INSERT OR IGNORE INTO garbage (blob) VALUES (old.blob);
END;

-- name: to_4

CREATE INDEX entry_renamed ON entry (sealed_instance_uid)
    WHERE sealed_instance_uid <> '' AND sealed_instance_uid <> sop_instance_uid;
