import type { Route } from '../http.js';
import { accountRoutes } from './accounts.js';
import { appRoutes } from './app.js';
import { checkRoutes } from './checks.js';
import { commentRoutes } from './comments.js';
import { contentRoutes } from './contents.js';
import { graphqlRoutes } from './graphql.js';
import { pullRoutes } from './pulls.js';
import { repositoryRoutes } from './repositories.js';
import { userRoutes } from './user.js';

/** The first that matches is taken: `issues/comments/{comment_id}` stands before `issues/{issue_number}`. */
export const routes: readonly Route[] = [
  ...appRoutes,
  ...accountRoutes,
  ...userRoutes,
  ...commentRoutes,
  ...checkRoutes,
  ...pullRoutes,
  ...contentRoutes,
  ...repositoryRoutes,
  ...graphqlRoutes,
];
