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

-- The oldest of one kind is found without looking at what waits of another.
create index outbox_by_kind on outbox (kind, due_at);
