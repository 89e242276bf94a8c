-- Who works, who was lost, who stopped whom, and who locked what.

-- A worker is a DATA_DIR: its id is made there once, so that a worker that was restarted is the same one, and two that
-- were given one WORKER_NAME are not.
create table workers (
  id text primary key,
  -- WORKER_NAME, for people.
  name text not null,
  -- Another one at each start: what an earlier process of this worker held is its successor's to take up.
  process text not null,
  slots integer not null,
  started_at timestamptz not null default now(),
  -- Its last sign of life, by the database's clock.
  seen_at timestamptz not null default now(),
  -- It stopped in order and took its leave.
  stopped_at timestamptz,
  -- It was declared lost, and its runs were taken from it.
  lost_at timestamptz
);

-- A run belongs to a worker for as long as that gives signs of life; its own lease said the same once more.
alter table runs
  drop column lease_until,
  -- Null while it plans: its worker is gone, and it waits for another attempt.
  add column worker_id text references workers,
  add column force_cancel_requested_at timestamptz,
  add column force_cancel_requested_by text,
  -- A newer push took its place while it was pending.
  add column superseded_by text references runs;

alter table workspaces
  add column locked_at timestamptz,
  -- GitHub login; null while locked_at isn't: Signalbox itself.
  add column locked_by text,
  add column lock_reason text,
  -- The run because of which Signalbox locked it.
  add column lock_run text references runs,
  add check (locked_at is not null or (locked_by is null and lock_reason is null and lock_run is null));

create index runs_by_worker on runs (worker_id) where state in ('planning', 'applying');
