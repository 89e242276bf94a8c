/**
 * Extracts from GitHub's OpenAPI description the operations that the local GitHub serves, into `openapi.generated.json`.
 *
 *     npm install --prefix /tmp/openapi --ignore-scripts @octokit/openapi
 *     npx tsx test/support/github/extract-openapi.ts /tmp/openapi/node_modules/@octokit/openapi/generated/api.github.com.json
 *
 * The package is 385 MB installed, which is why the extract is committed and the package is no dependency. Prose and
 * examples are left out; everything that takes part in validating is kept as it is.
 */
import { readFile, writeFile } from 'node:fs/promises';

const OPERATIONS = `
GET /app
GET /app/hook/config
GET /app/hook/deliveries
GET /app/hook/deliveries/{delivery_id}
POST /app/hook/deliveries/{delivery_id}/attempts
GET /app/installations
GET /app/installations/{installation_id}
POST /app/installations/{installation_id}/access_tokens
POST /app-manifests/{code}/conversions
DELETE /applications/{client_id}/token
GET /installation/repositories
DELETE /installation/token
GET /orgs/{org}/installation
GET /orgs/{org}/memberships/{username}
GET /orgs/{org}/members/{username}
GET /orgs/{org}/teams/{team_slug}/memberships/{username}
GET /orgs/{org}/teams/{team_slug}/members
GET /rate_limit
GET /user
GET /user/installations
GET /user/installations/{installation_id}/repositories
GET /users/{username}
GET /users/{username}/installation
GET /repos/{owner}/{repo}
GET /repos/{owner}/{repo}/installation
GET /repos/{owner}/{repo}/branches
GET /repos/{owner}/{repo}/branches/{branch}
GET /repos/{owner}/{repo}/git/ref/{ref}
GET /repos/{owner}/{repo}/git/matching-refs/{ref}
GET /repos/{owner}/{repo}/collaborators
GET /repos/{owner}/{repo}/collaborators/{username}
GET /repos/{owner}/{repo}/collaborators/{username}/permission
GET /repos/{owner}/{repo}/commits
GET /repos/{owner}/{repo}/commits/{ref}
GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls
GET /repos/{owner}/{repo}/commits/{ref}/check-runs
GET /repos/{owner}/{repo}/commits/{ref}/check-suites
GET /repos/{owner}/{repo}/commits/{ref}/status
GET /repos/{owner}/{repo}/commits/{ref}/statuses
POST /repos/{owner}/{repo}/statuses/{sha}
GET /repos/{owner}/{repo}/compare/{basehead}
GET /repos/{owner}/{repo}/contents/{path}
POST /repos/{owner}/{repo}/check-runs
GET /repos/{owner}/{repo}/check-runs/{check_run_id}
PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}
GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations
GET /repos/{owner}/{repo}/check-suites/{check_suite_id}
GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs
GET /repos/{owner}/{repo}/pulls
POST /repos/{owner}/{repo}/pulls
GET /repos/{owner}/{repo}/pulls/{pull_number}
PATCH /repos/{owner}/{repo}/pulls/{pull_number}
GET /repos/{owner}/{repo}/pulls/{pull_number}/commits
GET /repos/{owner}/{repo}/pulls/{pull_number}/files
GET /repos/{owner}/{repo}/pulls/{pull_number}/merge
PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge
GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews
POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews
GET /repos/{owner}/{repo}/issues/{issue_number}
GET /repos/{owner}/{repo}/issues/{issue_number}/comments
POST /repos/{owner}/{repo}/issues/{issue_number}/comments
GET /repos/{owner}/{repo}/issues/comments/{comment_id}
PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}
DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}
GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions
POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions
DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}
`;

const PROSE = new Set([
  'description',
  'summary',
  'example',
  'examples',
  'externalDocs',
  'title',
  'x-github',
  'x-multi-segment',
]);

type Node = { [key: string]: unknown };

const [source, target = new URL('openapi.generated.json', import.meta.url).pathname] = process.argv.slice(2);
if (!source) throw new Error('usage: extract-openapi.ts <api.github.com.json> [target]');
const description = JSON.parse(await readFile(source, 'utf8')) as Node & { info: Node };
const schemas: Node = {};
const operations: Node = {};

for (const line of OPERATIONS.trim().split('\n')) {
  const [method = '', path = ''] = line.split(' ');
  const operation = lookUp(`#/paths/${path.replaceAll('/', '~1')}/${method.toLowerCase()}`) as Node;
  const parameters = ((operation.parameters ?? []) as Node[]).map((parameter) => {
    const { name, in: place, required, schema } = dereference(parameter);
    return { name, in: place, required: required === true, schema: keep(schema) };
  });
  const body = operation.requestBody && dereference(operation.requestBody as Node);
  const bodySchema = body && (body as { content?: Record<string, Node> }).content?.['application/json']?.schema;
  if (line === 'GET /app/installations') {
    // Described inline there, with an account that is a user and an enterprise at once: a fault of the description.
    lookUpContent(operation).schema = { type: 'array', items: { $ref: '#/components/schemas/installation' } };
  }
  operations[line] = {
    parameters,
    ...(bodySchema ? { body: { required: (body as Node).required === true, schema: keep(bodySchema) } } : {}),
    responses: responses(operation.responses as Node),
  };
}

await writeFile(target, `${JSON.stringify({ version: description.info.version, operations, schemas })}\n`);

function responses(all: Node): Node {
  const kept: Node = {};
  for (const [status, response] of Object.entries(all)) {
    if (!status.startsWith('2')) continue;
    const content = (dereference(response as Node) as { content?: Record<string, Node> }).content;
    const schema = content?.['application/json']?.schema;
    kept[status] = schema ? keep(schema) : true;
  }
  return kept;
}

/** A copy without prose; what it refers to is copied into `schemas`. */
function keep(node: unknown, isMapOfSchemas = false): unknown {
  if (Array.isArray(node)) return node.map((item) => keep(item));
  if (node === null || typeof node !== 'object') return node;
  const reference = (node as Node).$ref;
  if (typeof reference === 'string') {
    const name = reference.split('/').at(-1) ?? '';
    if (!(name in schemas)) {
      schemas[name] = true;
      schemas[name] = keep(lookUp(reference));
    }
    return { $ref: `#/schemas/${name}` };
  }
  const copy: Node = {};
  for (const [key, value] of Object.entries(node)) {
    if (!isMapOfSchemas && PROSE.has(key)) continue;
    copy[key] = keep(value, !isMapOfSchemas && key === 'properties');
  }
  return isMapOfSchemas ? copy : withNull(copy);
}

/** OpenAPI's `nullable` as JSON Schema has it: validators allow it beside a single type only, and not with an enum. */
function withNull(schema: Node): Node {
  if (schema.nullable !== true || (typeof schema.type === 'string' && !schema.enum)) return schema;
  const { nullable: _, ...rest } = schema;
  return { anyOf: [{ type: 'null' }, rest] };
}

function lookUpContent(operation: Node): Node {
  const responses = operation.responses as Record<string, { content: Record<string, Node> }>;
  const content = responses['200']?.content['application/json'];
  if (!content) throw new Error('no answer is described');
  return content;
}

function dereference(node: Node): Node {
  return typeof node.$ref === 'string' ? (lookUp(node.$ref) as Node) : node;
}

function lookUp(pointer: string): unknown {
  let node: unknown = description;
  for (const part of pointer.slice(2).split('/')) {
    node = (node as Node | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  if (node === undefined) throw new Error(`${pointer} is not in ${source}`);
  return node;
}
