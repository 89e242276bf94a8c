-- What GitHub lets each installation do, shared by all processes that write to it.

create table github_budgets (
  installation_id bigint primary key,
  -- When each of the last writes was let through, oldest first, by the database's clock: as many as the largest limit.
  writes timestamptz[] not null default '{}',
  -- GitHub asked for a pause.
  closed_until timestamptz,
  -- Since when it has answered nothing but failures, and the last of them.
  failing_since timestamptz,
  failure text,
  -- What GitHub said last of the limit of all requests (x-ratelimit-*).
  rate_limit integer,
  rate_remaining integer,
  rate_reset timestamptz
);

-- An effect on GitHub goes through the installation of this repository, and is as urgent as this says: the less, the
-- sooner (effect-order.ts). Both are as of when it was last written, which every change of what it reports does.
alter table outbox
  add column repository_id bigint,
  add column rank smallint not null default 3;
update outbox set repository_id = coalesce((payload->>'repository')::bigint,
  (select runs.repository_id from runs where runs.id = outbox.payload->>'run'));

-- What is due of one kind is found without looking at what waits of another.
create index outbox_by_kind on outbox (kind, due_at);

-- Check runs that GitHub shows as under way are few, however many there were.
create index check_runs_open on check_runs (repository_id) where not completed and github_id is not null;
