import type { InstallationOctokit } from '../octokit.js';
import { within } from '../within.js';

/** How long a page waits for it, in ms: without it there is a button less. */
const PATIENCE_MS = 2_000;

/** Yields where on GitHub the App is installed, which is asked for once; undefined while GitHub doesn't say. */
export function findInstallUrl(app: InstallationOctokit): () => Promise<string | undefined> {
  let asked: Promise<string> | undefined;
  return () => {
    const found = asked ?? app.rest.apps.getAuthenticated().then(({ data }) => `${data?.html_url}/installations/new`);
    asked = found;
    found.catch(() => {
      asked = undefined;
    });
    return within(PATIENCE_MS, found).catch(() => undefined);
  };
}
