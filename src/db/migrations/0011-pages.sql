-- What pages show, found quickly however much there is.

alter table runs
  -- What somebody wrote who queued a plan by hand.
  add column message text check (char_length(message) <= 1000),
  drop constraint runs_trigger_check,
  add constraint runs_trigger_check
    check (trigger in ('push', 'pull_request', 'merge_group', 'comment', 'button', 'rerun', 'page'));

alter table workspaces
  -- Which commit's settings these are, and on which line of the file each of them stands. Null: not known.
  add column settings_origin jsonb,
  -- The run that ended last, speculative ones aside.
  add column latest_run text references runs on delete set null,
  add column latest_state text,
  add column latest_ended_at timestamptz;

-- A trigger, so that it holds whoever ends a run, programs of the version before too. Who ends a run has locked its
-- workspace's row before (see lockQueue), so nobody waits for this update.
create function note_latest_run() returns trigger language plpgsql as $$
begin
  update workspaces set latest_run = new.id, latest_state = new.state, latest_ended_at = new.ended_at
  where id = new.workspace_id and (latest_run is null or latest_ended_at <= new.ended_at);
  return null;
end $$;

create trigger runs_note_latest after insert or update of ended_at on runs
  for each row when (new.ended_at is not null and not new.speculative) execute function note_latest_run();

update workspaces set latest_run = latest.id, latest_state = latest.state, latest_ended_at = latest.ended_at
from (
  select distinct on (workspace_id) workspace_id, id, state, ended_at from runs
  where ended_at is not null and not speculative order by workspace_id, ended_at desc, sequence desc
) latest
where workspaces.id = latest.workspace_id;

create index runs_by_state on runs (workspace_id, state, sequence desc);
create index repositories_by_name on repositories (lower(owner), lower(name));
