-- The statements of the inboxes that are tables, for SQLite and PostgreSQL alike.
--
-- `-- name:` begins a statement. {name} includes an earlier one; {lock_rows} is the database's clause for skipping rows
-- that another transaction has locked, {interrupted} the error of an interrupted event, {clock_step} the seconds by which
-- a row must be newer than now to prove that the clock was set back, and {most_blocked} how many events a lease reads
-- in vain. Parameters are written :name; :now is the clock of the inbox.


-- Stores of a receiver

-- name: insert
-- The first half of the statements below.
INSERT INTO triage_events (key, owner, conversation, customer, email, event, body, due, received, changed)
VALUES (:key, :owner, :conversation, :customer, :email, :event, :body, :now + :delay, :now, :now)

-- name: add
{insert} ON CONFLICT (key) DO NOTHING;

-- name: add_after_dry_run
-- A dry run does not count as having handled the event.
{insert} ON CONFLICT (key) DO UPDATE SET state = 'ready', attempts = 0, due = :now + :delay, changed = :now
WHERE triage_events.state = 'planned';

-- name: dead_letter_unreadable
INSERT INTO triage_events (key, owner, conversation, state, body, error, due, received, changed)
VALUES (:key, :owner, :key, 'dead', :body, :error, :now, :now, :now)
ON CONFLICT (key) DO NOTHING;


-- Leases

-- name: is_first
-- A condition: no other open event of its conversation comes first. An expired lease comes before events that were never
-- leased: with concurrent transactions, the later of two events may be stored and leased first.
(state = 'leased' OR NOT EXISTS (
  SELECT 1 FROM triage_events AS other
  WHERE other.state IN ('ready', 'leased') AND other.conversation = candidate.conversation
    AND (other.state = 'leased' OR other.number < candidate.number)
))

-- name: is_next
-- A condition: the event is due, and no other open event of its conversation comes first.
state IN ('ready', 'leased') AND due <= :now AND {is_first}

-- name: is_alone
-- A condition: the event's last attempt was not interrupted, or it is the first of those that were. An event that kills
-- its worker must not be processed together with events that were interrupted because of it.
(state = 'ready' OR CAST(:interrupted AS INTEGER) = 1 AND number = (
  SELECT number FROM triage_events AS other
  WHERE other.state = 'leased' AND other.owner = candidate.owner AND other.due <= :now
  ORDER BY other.due, other.number LIMIT 1
))

-- name: lease_picked
-- The second half of the statements below. An expired lease means that the last attempt was interrupted.
UPDATE triage_events
SET state = 'leased', due = :now + :seconds, attempts = attempts + 1, fencing_token = fencing_token + 1, changed = :now,
  error = CASE WHEN state = 'leased' THEN {interrupted} ELSE error END
WHERE number IN (SELECT number FROM picked)
RETURNING number, key, owner, conversation, event, body, ledger, attempts, fencing_token, received, error

-- name: lease
WITH picked AS MATERIALIZED (
  SELECT number FROM triage_events AS candidate
  WHERE {is_next} AND {is_alone}
  ORDER BY due, number LIMIT :limit {lock_rows}
)
{lease_picked};

-- name: find_horizon
-- The time at which the last of the events was due that a lease reads, if there are more of them.
SELECT due FROM triage_events WHERE state IN ('ready', 'leased') AND owner = :owner AND due <= :now
ORDER BY due, number LIMIT 1 OFFSET CAST(:limit AS BIGINT) + {most_blocked}

-- name: lease_owned
WITH picked AS MATERIALIZED (
  SELECT number FROM triage_events AS candidate
  WHERE state IN ('ready', 'leased') AND owner = :owner AND due <= coalesce(({find_horizon}), :now)
    AND {is_first} AND {is_alone}
  ORDER BY due, number LIMIT :limit {lock_rows}
)
{lease_picked};

-- name: lease_heads
-- Many events wait for an earlier one of their conversation. So read only the first one of each conversation, and those
-- whose lease has expired. A cross join, because SQLite keeps its order.
WITH RECURSIVE heads (head) AS (
  SELECT (SELECT number FROM triage_events WHERE state IN ('ready', 'leased') ORDER BY conversation, number LIMIT 1)
  UNION ALL
  SELECT (
    SELECT number FROM triage_events
    WHERE state IN ('ready', 'leased')
      AND conversation > (SELECT conversation FROM triage_events WHERE number = heads.head)
    ORDER BY conversation, number LIMIT 1
  ) FROM heads WHERE head IS NOT NULL
), readable AS MATERIALIZED (
  SELECT head FROM heads UNION SELECT number FROM triage_events WHERE state = 'leased' AND due <= :now
), picked AS MATERIALIZED (
  SELECT number FROM readable CROSS JOIN triage_events AS candidate
  WHERE number = head AND {is_next} AND {is_alone} AND owner = :owner
  ORDER BY due, number LIMIT :limit {lock_rows}
)
{lease_picked};

-- name: lease_key
WITH picked AS MATERIALIZED (
  SELECT number FROM triage_events AS candidate WHERE {is_next} AND key = :key {lock_rows}
)
{lease_picked};

-- name: extend
-- All leases of a worker. A row that is locked is being changed by this worker, which renews the lease, too.
WITH held AS MATERIALIZED (
  SELECT number FROM {each_lease} AS lease CROSS JOIN triage_events AS event
  WHERE event.key = lease.key AND fencing_token = CAST(lease.value AS INTEGER) AND state = 'leased' {lock_rows}
)
UPDATE triage_events SET due = :now + :seconds, changed = :now WHERE number IN (SELECT number FROM held);

-- name: rebase
-- The clock was set back after these events were written. Keep the durations that were left at that time.
UPDATE triage_events
SET due = due - (changed - :now), received = received - (changed - :now), reported = 0, changed = :now
WHERE state IN ('ready', 'leased') AND changed > :now + {clock_step};

-- name: is_overdue
-- A condition: the event has been due for :seconds, and twice as long as when it was last reported.
{is_next} AND due <= :now - :seconds AND :now - due >= 2 * (reported - due)

-- name: list_overdue
WITH picked AS MATERIALIZED (
  SELECT number FROM triage_events AS candidate WHERE {is_overdue} ORDER BY due, number LIMIT :limit {lock_rows}
)
UPDATE triage_events SET reported = :now WHERE number IN (SELECT number FROM picked) RETURNING key;

-- name: list_overdue_owned
WITH picked AS MATERIALIZED (
  SELECT number FROM triage_events AS candidate
  WHERE {is_overdue} AND owner = :owner
  ORDER BY due, number LIMIT :limit {lock_rows}
)
UPDATE triage_events SET reported = :now WHERE number IN (SELECT number FROM picked) RETURNING key;


-- Progress of a leased event

-- name: record
UPDATE triage_events SET ledger = :ledger, changed = :now, due = :now + :seconds
WHERE key = :key AND fencing_token = :fencing_token AND state = 'leased';

-- name: finish
UPDATE triage_events
SET state = :state, outcome = :outcome, handled = :handled, replied = :replied, changed = :now,
  ledger = coalesce(:ledger, ledger), customer = coalesce(nullif(customer, ''), :customer),
  email = coalesce(nullif(email, ''), :email)
WHERE key = :key AND fencing_token = :fencing_token AND state = 'leased';

-- name: retry
UPDATE triage_events
SET state = 'ready', due = :now + :seconds, error = :error, ledger = coalesce(:ledger, ledger), changed = :now
WHERE key = :key AND fencing_token = :fencing_token AND state = 'leased';

-- name: dead_letter
UPDATE triage_events
SET state = 'dead', outcome = coalesce(:outcome, outcome), error = :error, ledger = coalesce(:ledger, ledger),
  changed = :now
WHERE key = :key AND fencing_token = :fencing_token AND state = 'leased';

-- name: dead_letter_undecodable
-- Another version of this library stored the event.
UPDATE triage_events SET state = 'dead', error = :error, changed = :now WHERE number = :number;


-- The past of a conversation and of a customer

-- name: list_related
SELECT other.number, other.key, other.state, other.due, other.attempts, other.received, other.changed, other.handled,
  other.error, NULL, NULL, other.ledger, other.outcome
FROM triage_events AS other JOIN triage_events AS this ON other.conversation = this.conversation
WHERE this.key = :key AND other.number <> this.number
ORDER BY other.number DESC LIMIT :limit;

-- name: count_replies
-- A union, because with OR neither database uses both indexes.
SELECT count(*) FROM (
  SELECT number FROM triage_events
  WHERE replied = 1 AND customer = :customer AND customer <> '' AND changed > :now - :seconds AND owner = :owner
  UNION
  SELECT number FROM triage_events
  WHERE replied = 1 AND email = :email AND email <> '' AND changed > :now - :seconds AND owner = :owner
) AS replied;


-- Shared limits

-- name: set_pause
INSERT INTO triage_limits (name, value, changed) VALUES (:name, :now + :seconds, :now)
ON CONFLICT (name) DO UPDATE SET changed = :now, value = CASE
  WHEN triage_limits.value > :now + :seconds AND triage_limits.changed <= :now + {clock_step} THEN triage_limits.value
  ELSE :now + :seconds
END;

-- name: get_pause
-- A pause that was set before the clock was set back could last for as long, so it counts as over.
SELECT value - :now FROM triage_limits WHERE name = :name AND changed <= :now + {clock_step};

-- name: add_spending
INSERT INTO triage_limits (name, value, changed) VALUES (:name, :amount, :now)
ON CONFLICT (name) DO UPDATE SET changed = :now, value = triage_limits.value + :amount;

-- name: get_spending
SELECT value FROM triage_limits WHERE name = :name;


-- Workers

-- name: record_heartbeat
INSERT INTO triage_limits (name, value, changed) VALUES (:name, :now, :now)
ON CONFLICT (name) DO UPDATE SET changed = :now, value = :now;

-- name: get_heartbeat_age
SELECT :now - value FROM triage_limits WHERE name = :name;

-- name: get_lag
SELECT :now - due FROM triage_events AS candidate WHERE {is_next} AND owner = :owner ORDER BY due, number LIMIT 1;


-- Operators

-- name: list_entries
SELECT number, key, state, due, attempts, received, changed, handled, error, event, body, ledger, outcome
FROM triage_events
WHERE (CAST(:state AS TEXT) IS NULL OR state = :state) AND (CAST(:before AS BIGINT) IS NULL OR number < :before)
ORDER BY number DESC LIMIT :limit;

-- name: list_set_aside
-- The first condition is that of the index.
SELECT number, key, state, due, attempts, received, changed, handled, error, event, body, ledger, outcome
FROM triage_events
WHERE state IN ('planned', 'dead', 'parked') AND state = :state
  AND (CAST(:before AS BIGINT) IS NULL OR number < :before)
ORDER BY number DESC LIMIT :limit;

-- name: list_open
-- Sorts the numbers of the open events, because in that order, the few of them would be searched among all others.
SELECT number, key, state, due, attempts, received, changed, handled, error, event, body, ledger, outcome
FROM triage_events
WHERE number IN (
  SELECT number FROM triage_events
  WHERE state IN ('ready', 'leased') AND state = :state AND (CAST(:before AS BIGINT) IS NULL OR number < :before)
  ORDER BY number + 0 DESC LIMIT :limit
)
ORDER BY number DESC;

-- name: get_entry
SELECT number, key, state, due, attempts, received, changed, handled, error, event, body, ledger, outcome
FROM triage_events
WHERE key = :key;

-- name: redrive
UPDATE triage_events SET state = 'ready', attempts = 0, due = :now, changed = :now
WHERE key = :key AND state IN ('planned', 'dead', 'parked') AND event IS NOT NULL;

-- name: reopen
UPDATE triage_events SET state = 'ready', attempts = 0, due = :now, changed = :now, ledger = :ledger
WHERE key = :key AND state IN ('finished', 'planned') AND event IS NOT NULL;

-- name: park
UPDATE triage_events SET state = 'parked', error = :reason, changed = :now WHERE key = :key AND state = 'ready';

-- name: get_time
SELECT :now;

-- name: purge
-- Some at a time, so that no delivery waits for long. The first condition is that of the index.
DELETE FROM triage_events WHERE number IN (
  SELECT number FROM triage_events
  WHERE state IN ('finished', 'planned', 'dead', 'parked') AND changed < :before
    AND (CAST(:dead AS INTEGER) = 1 OR state IN ('finished', 'planned'))
  ORDER BY changed LIMIT :limit {lock_rows}
);

-- name: purge_limits
DELETE FROM triage_limits WHERE changed < :before AND changed < :now - :kept;

-- name: get_last_number
SELECT coalesce(max(number), 0) FROM triage_events;

-- name: find_mentions
-- Only some rows at a time, because this reads the texts of all of them.
SELECT number, owner, conversation, customer, email, event, body, ledger FROM triage_events
WHERE number > :after AND number <= :until
  AND (customer = :customer OR email = :email OR lower(event) LIKE :pattern ESCAPE '!' OR lower(ledger) LIKE :pattern ESCAPE '!');

-- name: find_conversation
SELECT number, owner, conversation, customer, email, event, body, ledger FROM triage_events
WHERE conversation = :conversation;

-- name: remove
DELETE FROM triage_events WHERE number = :number AND state <> 'leased';

-- name: count_states
-- Triggers count the events, because reading all of them would take seconds.
SELECT state, CAST(sum(events) AS BIGINT) FROM triage_counts
WHERE CAST(:owner AS TEXT) IS NULL OR owner = :owner GROUP BY state;

-- name: list_owners
SELECT DISTINCT owner FROM triage_counts;
