-- Every statement that the SQLite ledger runs, by name. INDEXED BY stands where the planner, which
-- knows nothing of how long the queue is, would choose another index.

-- name: add_event
INSERT INTO outbox (at, event) VALUES (:now, :event);

-- name: find_same
SELECT id FROM entry
WHERE sop_instance_uid = :sop_instance_uid AND blob = :blob AND state <> 'discarded'
ORDER BY id LIMIT 1;

-- name: find_other
SELECT id FROM entry
WHERE sop_instance_uid = :sop_instance_uid AND state <> 'discarded' LIMIT 1;

-- name: add_entry
INSERT INTO entry (
    state, sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid,
    transfer_syntax_uid, blob, size, attributes, calling_aet, called_aet, address, source,
    received_at, route, action, priority, threshold, reason, since)
VALUES (
    :state, :sop_class_uid, :sop_instance_uid, :study_instance_uid, :series_instance_uid,
    :transfer_syntax_uid, :blob, :size, :attributes, :calling_aet, :called_aet, :address, :source,
    :received_at, :route, :action, :priority, :threshold, :reason, :now)
RETURNING id;

-- name: add_delivery
INSERT INTO delivery (entry, destination, state, priority, share, since)
VALUES (:entry, :destination, 'waiting', :priority, :share, :now)
ON CONFLICT DO NOTHING;

-- name: wake_entry
-- What fell due joins the queue; what a clock that jumped put out of reach comes nearer.
UPDATE entry SET not_before = CASE WHEN not_before <= :now THEN 0 ELSE :horizon END
WHERE id IN (
    SELECT id FROM (
        SELECT id FROM entry INDEXED BY entry_deferred
        WHERE state = 'received' AND not_before > 0 AND not_before <= :now
        ORDER BY not_before LIMIT :limit)
    UNION ALL
    SELECT id FROM (
        SELECT id FROM entry INDEXED BY entry_deferred
        WHERE state = 'received' AND not_before > 0 AND not_before > :horizon
        ORDER BY not_before LIMIT :limit));

-- name: due_entry
SELECT id, crashes FROM entry INDEXED BY entry_due
WHERE state = 'received' AND leased_until IS NULL AND not_before = 0
ORDER BY priority DESC, id LIMIT :limit;

-- name: lease_entry
UPDATE entry SET
    attempts = attempts + 1, crashes = crashes + 1, token = token + 1,
    worker = :worker, leased_until = :until
WHERE id = :id RETURNING *;

-- name: make_ready
UPDATE entry SET
    state = 'ready', sealed = :sealed, sealed_class_uid = :sop_class_uid,
    sealed_instance_uid = :sop_instance_uid, sealed_syntax_uid = :transfer_syntax_uid,
    crashes = 0, worker = '', leased_until = NULL, reason = ''
WHERE id = :id AND token = :token AND state = 'received' AND leased_until IS NOT NULL;

-- name: shares_of
SELECT share FROM delivery WHERE entry = :entry AND share > 0 ORDER BY share;

-- name: resend_share
-- One that was sent belongs to another set when its bytes are others now: it is sent again.
UPDATE delivery SET
    state = 'pending', since = :now, attempts = 0, crashes = 0, readback_at = NULL,
    commit_at = NULL, asked = 0, committed_at = NULL, transaction_uid = '',
    worker = '', leased_until = NULL
WHERE entry = :entry AND share = :share AND state IN ('sent', 'verified') AND blob <> :blob;

-- name: put_share
UPDATE delivery SET
    blob = :blob, class_uid = :class_uid, instance_uid = :instance_uid, syntax_uid = :syntax_uid
WHERE entry = :entry AND share = :share;

-- name: start_deliveries
UPDATE delivery SET state = 'pending', since = :now WHERE entry = :entry AND state = 'waiting';

-- name: defer_entry
UPDATE entry SET
    crashes = CASE WHEN :crash THEN crashes ELSE 0 END,
    not_before = :not_before, worker = '', leased_until = NULL, reason = :reason
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: set_aside
UPDATE entry SET
    state = :state, reason = :reason, crashes = 0, worker = '', leased_until = NULL
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: wake_delivery
UPDATE delivery SET not_before = CASE WHEN not_before <= :now THEN 0 ELSE :horizon END
WHERE id IN (
    SELECT id FROM (
        SELECT id FROM delivery INDEXED BY delivery_deferred
        WHERE destination = :destination AND state = 'pending'
            AND not_before > 0 AND not_before <= :now
        ORDER BY not_before LIMIT :limit)
    UNION ALL
    SELECT id FROM (
        SELECT id FROM delivery INDEXED BY delivery_deferred
        WHERE destination = :destination AND state = 'pending'
            AND not_before > 0 AND not_before > :horizon
        ORDER BY not_before LIMIT :limit));

-- name: due_delivery
SELECT id, crashes FROM delivery INDEXED BY delivery_due
WHERE destination = :destination AND state = 'pending'
    AND leased_until IS NULL AND not_before = 0
ORDER BY priority DESC, id LIMIT :limit;

-- name: lease_delivery
UPDATE delivery SET
    attempts = attempts + 1, crashes = crashes + 1, token = token + 1,
    worker = :worker, leased_until = :until
WHERE id = :id
RETURNING *,
    (SELECT sealed FROM entry WHERE entry.id = delivery.entry) AS sealed,
    (SELECT sealed_class_uid FROM entry WHERE entry.id = delivery.entry) AS sealed_class_uid,
    (SELECT sealed_instance_uid FROM entry WHERE entry.id = delivery.entry) AS sealed_instance_uid,
    (SELECT sealed_syntax_uid FROM entry WHERE entry.id = delivery.entry) AS sealed_syntax_uid;

-- name: settle_delivery
UPDATE delivery SET
    state = :state, reason = :reason, crashes = 0, worker = '', leased_until = NULL,
    readback_at = :readback_at, commit_at = :commit_at, committed_at = NULL, transaction_uid = '',
    asked = 0
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: defer_delivery
-- What was sent is to be read back later, what was not is to be sent later.
UPDATE delivery SET
    crashes = CASE WHEN :crash THEN crashes ELSE 0 END,
    not_before = CASE WHEN readback_at IS NULL THEN :not_before ELSE 0 END,
    readback_at = CASE WHEN readback_at IS NULL THEN NULL ELSE :not_before END,
    worker = '', leased_until = NULL, reason = :reason
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: finish_entry
-- When nothing is left to send: done, or parked for the reason of its first parked delivery.
-- It has ended when nothing is left to be read back or committed either.
UPDATE entry SET
    state = CASE WHEN parked IS NULL THEN 'done' ELSE 'parked' END,
    reason = coalesce(parked, ''),
    ended_at = CASE WHEN parked IS NULL AND NOT waits THEN :now END
FROM (SELECT (
    SELECT reason FROM delivery WHERE entry = :entry AND state = 'parked' ORDER BY id LIMIT 1
) AS parked, EXISTS (
    SELECT 1 FROM delivery
    WHERE entry = :entry AND (readback_at IS NOT NULL OR commit_at IS NOT NULL)
) AS waits)
WHERE id = :entry AND state IN ('ready', 'done') AND NOT EXISTS (
    SELECT 1 FROM delivery WHERE entry = :entry AND state IN ('waiting', 'pending'));

-- name: extend_entry
UPDATE entry SET leased_until = :until
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: extend_delivery
UPDATE delivery SET leased_until = :until
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: release_entry
UPDATE entry SET
    attempts = max(attempts - 1, 0), crashes = max(crashes - 1, 0), worker = '', leased_until = NULL
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: release_delivery
UPDATE delivery SET
    attempts = max(attempts - 1, 0), crashes = max(crashes - 1, 0), worker = '', leased_until = NULL
WHERE id = :id AND token = :token AND leased_until IS NOT NULL;

-- name: expire_entries
UPDATE entry SET worker = '', leased_until = NULL WHERE leased_until <= :now;

-- name: expire_deliveries
UPDATE delivery SET worker = '', leased_until = NULL WHERE leased_until <= :now;

-- name: clamp_entries
UPDATE entry SET leased_until = :horizon WHERE leased_until > :horizon;

-- name: clamp_deliveries
UPDATE delivery SET leased_until = :horizon WHERE leased_until > :horizon;

-- name: free_entries
UPDATE entry SET worker = '', leased_until = NULL
WHERE leased_until > 0 AND worker = :worker;

-- name: free_deliveries
UPDATE delivery SET worker = '', leased_until = NULL
WHERE leased_until > 0 AND worker = :worker;

-- name: stop_entry
UPDATE entry SET
    state = :state, reason = :reason, crashes = 0, worker = '', leased_until = NULL,
    ended_at = :ended_at
WHERE id = :entry;

-- name: stop_deliveries
UPDATE delivery SET state = 'waiting', crashes = 0, worker = '', leased_until = NULL
WHERE entry = :entry AND state = 'pending';

-- name: discard_deliveries
UPDATE delivery SET state = 'discarded', crashes = 0, worker = '', leased_until = NULL
WHERE entry = :entry AND state IN ('waiting', 'pending', 'parked');

-- name: forgo_checks
-- What was thrown away is neither read back nor committed.
UPDATE delivery SET
    readback_at = NULL, commit_at = NULL, transaction_uid = '', worker = '', leased_until = NULL
WHERE entry = :entry AND (readback_at IS NOT NULL OR commit_at IS NOT NULL);

-- name: due_readback
-- What is due; and what a clock that jumped put out of reach.
SELECT id, crashes FROM (
    SELECT * FROM (
        SELECT id, crashes, readback_at FROM delivery INDEXED BY delivery_readback
        WHERE destination = :destination AND readback_at IS NOT NULL AND leased_until IS NULL
            AND readback_at <= :now
        ORDER BY readback_at LIMIT :limit)
    UNION ALL
    SELECT * FROM (
        SELECT id, crashes, readback_at FROM delivery INDEXED BY delivery_readback
        WHERE destination = :destination AND readback_at IS NOT NULL AND leased_until IS NULL
            AND readback_at > :farthest
        ORDER BY readback_at LIMIT :limit))
LIMIT :limit;

-- name: judge_delivery
-- To be sent again means waiting where its entry was stopped meanwhile.
UPDATE delivery SET
    state = CASE WHEN :state <> 'pending' OR (
        SELECT state FROM entry WHERE entry.id = delivery.entry) IN ('ready', 'done')
        THEN :state ELSE 'waiting' END,
    attempts = CASE WHEN :state = 'pending' THEN 0 ELSE attempts END,
    since = CASE WHEN :state = 'pending' THEN :now ELSE since END,
    lost = lost + (:state = 'pending'),
    commit_at = CASE WHEN :state = 'verified' THEN commit_at END,
    committed_at = CASE WHEN :state = 'verified' THEN committed_at END,
    transaction_uid = CASE WHEN :state = 'verified' THEN transaction_uid ELSE '' END,
    asked = CASE WHEN :state = 'verified' THEN asked ELSE 0 END,
    reason = :reason, crashes = 0, worker = '', leased_until = NULL, readback_at = NULL
WHERE id = :id AND token = :token AND leased_until IS NOT NULL AND readback_at IS NOT NULL;

-- name: revoke_delivery
-- The destination says itself that it does not have it, or will not keep it.
UPDATE delivery SET
    state = CASE WHEN :state <> 'pending' OR (
        SELECT state FROM entry WHERE entry.id = delivery.entry) IN ('ready', 'done')
        THEN :state ELSE 'waiting' END,
    attempts = 0, since = :now, lost = lost + (:state = 'pending'), reason = :reason, crashes = 0,
    worker = '', leased_until = NULL, token = token + 1, not_before = 0,
    readback_at = NULL, commit_at = NULL, committed_at = NULL, transaction_uid = '', asked = 0
WHERE id = :id;

-- name: due_commitment
SELECT id, crashes FROM (
    SELECT * FROM (
        SELECT id, crashes, commit_at FROM delivery INDEXED BY delivery_commit
        WHERE destination = :destination AND commit_at IS NOT NULL AND leased_until IS NULL
            AND commit_at <= :now
        ORDER BY commit_at LIMIT :limit)
    UNION ALL
    SELECT * FROM (
        SELECT id, crashes, commit_at FROM delivery INDEXED BY delivery_commit
        WHERE destination = :destination AND commit_at IS NOT NULL AND leased_until IS NULL
            AND commit_at > :farthest
        ORDER BY commit_at LIMIT :limit))
LIMIT :limit;

-- name: ask_commitment
UPDATE delivery SET
    transaction_uid = :transaction_uid, asked = asked + 1, commit_at = :at,
    attempts = max(attempts - 1, 0),  -- those count how often it was sent
    crashes = 0, worker = '', leased_until = NULL
WHERE id = :id AND token = :token AND leased_until IS NOT NULL AND commit_at IS NOT NULL;

-- name: await_report
UPDATE delivery SET commit_at = :at
WHERE transaction_uid = :transaction_uid AND transaction_uid <> '' AND commit_at IS NOT NULL;

-- name: in_transaction
SELECT delivery.*, sealed, sealed_class_uid, sealed_instance_uid, sealed_syntax_uid
FROM delivery JOIN entry ON entry.id = delivery.entry
WHERE transaction_uid = :transaction_uid AND transaction_uid <> '' AND destination = :destination;

-- name: commit_delivery
UPDATE delivery SET
    committed_at = :now, commit_at = NULL, transaction_uid = '',
    reason = CASE WHEN reason LIKE 'commitment %' THEN '' ELSE reason END
WHERE id = :id;

-- name: postpone_commitment
UPDATE delivery SET commit_at = :at, transaction_uid = '', reason = :reason WHERE id = :id;

-- name: forgo_commitments
UPDATE delivery SET commit_at = NULL, transaction_uid = ''
WHERE destination = :destination AND commit_at IS NOT NULL
RETURNING entry;

-- name: uncommitted
SELECT destination AS place, count(*) AS number, min(since) AS since
FROM delivery INDEXED BY delivery_commit WHERE commit_at IS NOT NULL GROUP BY destination;

-- name: unreported
SELECT source AS place, count(*) AS number, min(since) AS since FROM promise GROUP BY source;

-- name: hasten_readback
UPDATE delivery SET readback_at = :now
WHERE id = :id AND state = 'sent' AND leased_until IS NULL
    AND (readback_at IS NULL OR readback_at > :now)
RETURNING entry;

-- name: reopen_entry
UPDATE entry SET ended_at = NULL WHERE id = :entry AND state = 'done';

-- name: find_promise
SELECT id FROM promise WHERE source = :source AND transaction_uid = :transaction_uid;

-- name: add_promise
INSERT INTO promise (transaction_uid, source, since, due)
VALUES (:transaction_uid, :source, :now, :now) RETURNING id;

-- name: add_promised
INSERT INTO promised (promise, sop_instance_uid, sop_class_uid)
VALUES (:promise, :sop_instance_uid, :sop_class_uid);

-- name: due_promises
SELECT * FROM (SELECT * FROM promise WHERE due <= :now ORDER BY due LIMIT :limit)
UNION ALL
SELECT * FROM (SELECT * FROM promise WHERE due > :farthest ORDER BY due LIMIT :limit)
LIMIT :limit;

-- name: promised
SELECT sop_class_uid, sop_instance_uid FROM promised WHERE promise = :promise
ORDER BY sop_instance_uid;

-- name: put_off_promise
UPDATE promise SET due = :due, attempts = attempts + :tried WHERE id = :promise;

-- name: end_promise
DELETE FROM promise WHERE id = :promise;

-- name: revive_entry
UPDATE entry SET state = 'ready', ended_at = NULL WHERE id = :entry AND state = 'done';

-- name: count_verdict
INSERT INTO verdict VALUES (:day, :destination, :modality, :verdict, :number)
ON CONFLICT DO UPDATE SET number = number + :number;

-- name: verdicts
SELECT day, destination, modality, verdict, number FROM verdict WHERE day >= :day
ORDER BY day, destination, modality, verdict;

-- name: reset_entry
UPDATE entry SET
    state = :state, reason = '', attempts = 0, crashes = 0, not_before = 0, since = :now
WHERE id = :entry;

-- name: reset_deliveries
UPDATE delivery SET
    state = :state, reason = '', attempts = 0, crashes = 0, not_before = 0, since = :now, lost = 0,
    commit_at = NULL, committed_at = NULL, transaction_uid = '', asked = 0
WHERE entry = :entry AND state IN ('waiting', 'pending', 'parked');

-- name: reroute_entry
UPDATE entry SET
    route = :route, action = :action, priority = :priority, threshold = :threshold,
    worker = '', leased_until = NULL
WHERE id = :entry;

-- name: unseal_entry
UPDATE entry SET
    sealed = '', sealed_class_uid = '', sealed_instance_uid = '', sealed_syntax_uid = ''
WHERE id = :entry;

-- name: drop_unsent
DELETE FROM delivery
WHERE entry = :entry AND state IN ('waiting', 'pending', 'parked', 'discarded');

-- name: drop_all
DELETE FROM delivery WHERE entry = :entry;

-- name: get_entry
SELECT * FROM entry WHERE id = :entry;

-- name: get_deliveries
SELECT delivery.*, sealed, sealed_class_uid, sealed_instance_uid, sealed_syntax_uid
FROM delivery JOIN entry ON entry.id = delivery.entry
WHERE delivery.entry = :entry ORDER BY delivery.id;

-- name: find_entries
SELECT * FROM entry WHERE sop_instance_uid = :uid
UNION ALL
SELECT * FROM entry WHERE sealed_instance_uid = :uid
    AND sealed_instance_uid <> '' AND sealed_instance_uid <> sop_instance_uid
ORDER BY id DESC;

-- name: query_all
SELECT * FROM entry WHERE id > :after ORDER BY id LIMIT :limit;

-- name: query_state
SELECT * FROM entry INDEXED BY entry_state WHERE state = :state AND id > :after ORDER BY id LIMIT :limit;

-- name: query_destination
SELECT entry.* FROM delivery JOIN entry ON entry.id = delivery.entry
WHERE destination = :destination AND delivery.entry > :after
ORDER BY delivery.entry LIMIT :limit;

-- name: query_state_destination
SELECT entry.* FROM delivery JOIN entry ON entry.id = delivery.entry
WHERE destination = :destination AND delivery.entry > :after AND entry.state = :state
ORDER BY delivery.entry LIMIT :limit;

-- name: finished
-- Without what a source still waits to hear of.
SELECT * FROM entry WHERE ended_at < :before
    AND NOT EXISTS (SELECT 1 FROM promised WHERE promised.sop_instance_uid = entry.sop_instance_uid)
ORDER BY ended_at LIMIT :limit;

-- name: waits
SELECT 1 FROM delivery
WHERE entry = :entry AND (readback_at IS NOT NULL OR commit_at IS NOT NULL)
UNION ALL SELECT 1 FROM entry JOIN promised USING (sop_instance_uid) WHERE entry.id = :entry
LIMIT 1;

-- name: forget_entry
DELETE FROM entry WHERE id = :entry;

-- name: garbage
SELECT blob FROM garbage ORDER BY id LIMIT :limit;

-- name: cleared
DELETE FROM garbage WHERE blob = :blob;

-- name: references
SELECT count(*) AS number FROM (
    SELECT id FROM entry WHERE blob = :blob
    UNION
    SELECT id FROM entry WHERE sealed = :blob AND sealed <> ''
    UNION
    SELECT entry FROM delivery WHERE blob = :blob AND blob <> '');

-- name: outbox
SELECT seq, at, event FROM outbox ORDER BY seq LIMIT :limit;

-- name: drained
DELETE FROM outbox WHERE seq <= :seq;

-- name: empty_outbox
DELETE FROM outbox;

-- name: restart_numbers
DELETE FROM sqlite_sequence WHERE name = 'outbox';
INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', :last);

-- name: tally
SELECT destination, state, number FROM tally WHERE number > 0;

-- name: oldest_entry
SELECT since FROM entry INDEXED BY entry_waiting WHERE state = 'received' ORDER BY since LIMIT 1;

-- name: oldest_delivery
SELECT since FROM delivery INDEXED BY delivery_waiting WHERE destination = :destination AND state = 'pending'
ORDER BY since LIMIT 1;
