-- What GitHub has told us so far, so that what it told in vain shows.

create table branches (
  repository_id bigint not null references repositories,
  branch text not null,
  -- The last head that was taken up: runs were created for what had changed since the one before. Zeros: no such branch.
  head_sha text not null,
  -- GitHub's clock, in whole seconds: the repository's last push as of that head. Null: not known.
  pushed_at timestamptz,
  -- When it was taken up. Null: it was there when the branch was first looked at, and nothing was queued for it.
  handled_at timestamptz,
  primary key (repository_id, branch)
);

insert into branches (repository_id, branch, head_sha, handled_at)
select distinct on (repository_id, branch) repository_id, branch, commit_sha, created_at
from runs where trigger = 'push' order by repository_id, branch, sequence desc;

create table installations (
  id bigint primary key,
  account text not null,
  suspended_at timestamptz,
  removed_at timestamptz,
  -- When its repositories were last listed. Null: they are to be listed at once.
  listed_at timestamptz,
  -- A repository that is new in a list came to the App since then: the time of the list before, or of the installation.
  listed_to timestamptz
);

alter table repositories
  -- GitHub's clock: when its name, owner or default branch may have changed last, as of this row.
  add column described_at timestamptz,
  -- GitHub's clock, as of the last listing.
  add column pushed_at timestamptz,
  -- It was taken from the App, deleted or archived: it isn't looked at.
  add column removed_at timestamptz,
  -- When its branches and pull requests were last compared with the record. Null: they are to be compared at once.
  add column compared_at timestamptz,
  -- GitHub's clock: pull requests that changed up to then have been compared.
  add column pulls_compared_to timestamptz;

-- Deliveries that have never arrived, and how often GitHub was asked for another attempt.
create table redeliveries (
  guid text primary key,
  -- GitHub's id of an attempt, beyond 2^53.
  attempt text not null,
  event text not null,
  repository_id bigint,
  failed_at timestamptz not null,
  asked integer not null default 0,
  asked_at timestamptz
);

-- What Signalbox delivers to itself is looked for before it is repeated.
create index deliveries_own on deliveries (repository_id, id) where event in ('signalbox.branch', 'signalbox.pull_request');
