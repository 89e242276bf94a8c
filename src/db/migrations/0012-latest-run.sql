-- Several runs of a workspace may end in one transaction, at one moment: the latest of them is the one that came last.
create or replace function note_latest_run() returns trigger language plpgsql as $$
begin
  update workspaces set latest_run = new.id, latest_state = new.state, latest_ended_at = new.ended_at
  where id = new.workspace_id and (latest_run is null or latest_ended_at < new.ended_at
    or (latest_ended_at = new.ended_at
      and not exists (select from runs where runs.id = latest_run and runs.sequence > new.sequence)));
  return null;
end $$;
