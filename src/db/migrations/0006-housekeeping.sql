-- When Terraform's output was removed from `outputs`, because of its age.
alter table runs add column output_removed_at timestamptz;

create index runs_with_output on runs (ended_at) where output_removed_at is null and ended_at is not null;
