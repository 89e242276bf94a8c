import { answerGraphql } from '../graphql.js';
import { type Route, route } from '../http.js';

export const graphqlRoutes: readonly Route[] = [
  route('POST /graphql', {}, async (call) => ({ status: 200, body: await answerGraphql(call) })),
];
