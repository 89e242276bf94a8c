-- Whose merge a commit is: the comments on that pull request reach the commit's runs.
create index pull_requests_by_merge on pull_requests (repository_id, merge_commit_sha) where merge_commit_sha is not null;
