-- What /metrics and /readyz count at every look is found without reading the table.
create index deliveries_given_up on deliveries (id) where done_at is not null and error is not null;
create index workspaces_locked on workspaces (id) where locked_at is not null;
create index workspaces_held on workspaces (id) where held_pull_request is not null;
