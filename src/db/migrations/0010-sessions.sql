-- People who are signed in: one row for each browser.
create table sessions (
  -- SHA-256 of what the browser's cookie holds: who reads the record can't pass for anybody.
  id text primary key,
  -- SHA-256 of the state that the sign-in was bound to: one sign-in makes one session.
  sign_in text not null unique,
  github_user bigint not null,
  login text not null,
  -- Forms carry it, so that only our own pages can send them.
  csrf text not null,
  -- The person's own tokens, sealed. Without a time at which it runs out, an access token is good until it is revoked.
  access_token bytea not null,
  access_expires_at timestamptz,
  refresh_token bytea,
  created_at timestamptz not null default now(),
  -- To within some minutes.
  seen_at timestamptz not null default now(),
  expires_at timestamptz not null
);

create index sessions_by_end on sessions (expires_at);
