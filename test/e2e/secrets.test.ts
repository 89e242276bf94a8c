import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { micromark } from 'micromark';
import { gfm, gfmHtml } from 'micromark-extension-gfm';
import { HttpVisitor } from './http-visitor.js';
import { command, hcl, onPostgres, SETTINGS, World, workspace } from './world.js';

const PLAN = 'signalbox/network (plan)';
const LET_IN = 'let-in-5d1c77e0-value';
const FOR_PLANS = 'for-plans-only-93ab41';

describe('What is shown', () => {
  let world: World;

  beforeAll(async () => {
    const env = {
      RUN_ENV: 'CLOUD_TOKEN,TF_VAR_writer',
      PLAN_ENV: 'TF_VAR_reader',
      CLOUD_TOKEN: LET_IN,
      TF_VAR_writer: 'yes',
      TF_VAR_reader: FOR_PLANS,
      UNRELATED: 'planted-in-the-environment',
    };
    world = await World.start(onPostgres, { env });
  });
  afterAll(() => world.end());

  const VARIABLES = ['writer', 'reader'].map(
    (name) => `variable "${name}" {\n  default = "none"\n}\noutput "${name}" {\n  value = var.${name} != "none"\n}\n`,
  );

  test("of the environment to a run is none of the App's secrets; what RUN_ENV lets in arrives, and is masked in reports", async () => {
    const { alice, github, directory } = world;
    const file = join(directory, 'environment');
    const repo = await world.repository();
    const main = `${command('env', `env | tee ${file}`)}${VARIABLES.join('')}`;
    const sha = await alice.push(repo, {
      files: { [SETTINGS]: workspace('network', 'auto-apply: true'), 'network/main.tf': main },
    });
    const applied = await world.check(repo, { sha, conclusion: 'success' });
    const seen = await readFile(file, 'utf8');
    const { privateKey, webhookSecret } = github.app;
    const key = privateKey.split('\n')[3] ?? '';
    const secrets = [
      key,
      webhookSecret,
      github.app.clientSecret,
      new URL(world.database.url).password,
      ...github.tokens.keys(),
    ];
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(5);
      expect(seen).not.toContain(secret);
      expect(applied.text).not.toContain(secret);
    }
    expect(seen).not.toMatch(
      /^(PRIVATE_KEY|WEBHOOK_SECRET|GITHUB_CLIENT_SECRET|DATABASE_URL|ENCRYPTION_KEY|UNRELATED|TF_VAR_reader)=/m,
    );
    expect(seen).toContain(`CLOUD_TOKEN=${LET_IN}`);
    expect(applied.text).toContain('CLOUD_TOKEN=***');
    expect(applied.text).toMatch(/writer = true/);
    expect(applied.text).toMatch(/reader = false/);
    const password = /^TF_HTTP_PASSWORD=(.+)$/m.exec(seen)?.[1];
    if (password) expect(applied.text).not.toContain(password);
    const outputs = await world.query<{ text: string }>('select text from outputs');
    expect(outputs.map(({ text }) => text).join('')).not.toContain(LET_IN);
    expect(world.log).not.toContain(LET_IN);

    const pull = await world.pullRequest(repo, {
      'network/b.tf': 'output "b" {\n  value = var.reader\n}\noutput "w" {\n  value = var.writer\n}\n',
    });
    const plan = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    expect(plan.text).toMatch(/reader\s+= false -> true/);
    expect(plan.text).toMatch(/writer\s+= true -> false/);
    expect(plan.text).toContain('***');
    expect(plan.text).not.toContain(FOR_PLANS);
  });

  test("on a run's page, at the addresses of its resources and in its events is nothing of what PLAN_ENV lets in", async () => {
    const repo = await world.appliedRepository({ 'network/main.tf': VARIABLES.join('') });
    const pull = await world.pullRequest(repo, {
      'network/b.tf': `output "b" {
  value = { (var.reader) = [var.reader, base64encode(var.reader)] }
}
resource "terraform_data" "keyed" {
  for_each = toset([var.reader])
  input    = { (each.key) = { nested = each.key } }
}
`,
    });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    const [run] = await world.query<{ id: string }>(`select id from runs where commit_sha = '${pull.headSha}'`);
    const reader = await HttpVisitor.signIn(world, 'alice');
    const page = await reader.get(`/runs/${run?.id}`);
    const resource = await reader.get(`/runs/${run?.id}/resources/0`);
    const events = await reader.stream(`/runs/${run?.id}/events`);
    await events.ended;
    for (const text of [page.text, resource.text]) expect(text).toContain('terraform_data.keyed[&quot;***&quot;]');
    expect(events.text()).toContain('terraform_data.keyed[&quot;***&quot;]');
    const encoded = Buffer.from(FOR_PLANS).toString('base64');
    for (const text of [page.text, resource.text, events.text()]) {
      expect(text).not.toContain(FOR_PLANS);
      expect(text).not.toContain(encoded);
    }
    const [kept] = await world.query<{ parts: object }>(
      `select reviewed_parts as parts from plans where run_id = '${run?.id}'`,
    );
    expect(JSON.stringify(kept?.parts)).toContain('terraform_data.keyed[\\"***\\"]');
    expect(JSON.stringify(kept?.parts)).not.toContain(FOR_PLANS);
  });

  test('of hostile text is text', async () => {
    const { alice } = world;
    const nasty = [
      '`@acme/team`',
      '[click](https://evil.example/a)',
      '<img src=x onerror=alert(1)>',
      'a | b || c',
      '```\n@acme/team\n# big\n````',
      '#1 and acme/infra#1 and GH-1',
      '</code></pre><script>alert(1)</script>',
      '\\| | --- |\n| https://evil.example |',
      '<!-- --> ![x](https://evil.example/b.png)',
      '\u001b[31mred\u001b[0m \u202ereversed',
      'www.evil.example a@evil.example :tada: **bold** &lt;b&gt;',
    ];
    const keys = nasty.map(hcl).join(', ');
    const main = `resource "terraform_data" "h" {\n  for_each = toset([${keys}])\n  input = each.key\n}
output "o" {\n  value = ${hcl(nasty.join('\n'))}\n}\n`;
    const title = nasty.join(' ').replaceAll('\n', ' ');
    const branch = "x/`@acme/team`|<b>#1</b>](evil.example)'";
    const repo = await world.appliedRepository({ 'network/main.tf': '' });
    const files = { 'network/main.tf': main };
    const pull = await world.pullRequest(repo, files, { branch, title, message: `${title}\n\n${nasty.join('\n')}` });
    const plan = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    await world.summary(repo, pull, /Planned/);
    await world.command(repo, pull, 'apply');
    const applied = await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
    await world.summary(repo, pull, /Applied/);

    // An error with as much in it, on the branch itself.
    const broken = `output "p" {\n  value = "x"\n  precondition {\n    condition = false\n    error_message = ${hcl(`${nasty.join('\n')}.`)}\n  }\n}\n`;
    await alice.push(repo, { branch, message: title, files: { 'network/broken.tf': broken } });
    const failed = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'failure' });
    await world.summary(repo, pull, /failed/);
    const merged = await alice.merge(repo, pull.number, 'merge');
    const onMain = await world.check(repo, { sha: merged, conclusion: 'failure' });
    await world.summary(repo, pull, /Merged/);
    await world.quiet();

    for (const text of [plan.text, applied.text]) expect(text).toContain('[click](https://evil.example/a)');
    expect(failed.summary).toContain('[click](https://evil.example/a)');
    const shown = [...world.github.checkRuns(repo), ...[plan, applied, failed, onMain]].flatMap(({ summary, text }) => [
      summary,
      text,
    ]);
    const comments = world.ownComments(repo, pull.number).map(({ body }) => body);
    for (const text of [...shown, ...comments]) expect(dangersIn(text ?? '', world)).toEqual([]);
    expect(comments).toHaveLength(1);
  });
});

/** What of a Markdown text would be more than text on GitHub, beside what is ours. */
function dangersIn(markdown: string, { github, port }: World): string[] {
  const html = micromark(markdown, { extensions: [gfm()], htmlExtensions: [gfmHtml()], allowDangerousHtml: true });
  const prose = html
    .replace(/<!-- signalbox: [a-z ]*(?:[\w-]+)? ?-->/g, '')
    .replace(/<pre><code[^>]*>[^<]*<\/code><\/pre>/g, '')
    .replace(/<code>[^<]*<\/code>/g, '');
  const ours = [`${github.url}/`, `http://localhost:${port}/`];
  const dangers: string[] = [];
  for (const [tag, name = ''] of prose.matchAll(/<\/?([a-z!][\w-]*)[^>]*>/gi)) {
    const link = /^<a href="([^"]*)"/.exec(tag)?.[1];
    if (link !== undefined && !ours.some((address) => link.startsWith(address))) dangers.push(tag);
    if (!/^(?:h\d|p|table|thead|tbody|tr|th|td|strong|em|ul|ol|li|sub|br|a)$/.test(name)) dangers.push(tag);
  }
  const words = prose.replace(/<[^>]*>/g, '');
  dangers.push(...(words.match(/@\w+|evil|:tada:|onerror|\bGH-\d/g) ?? []));
  dangers.push(...['\u202e', '\u001b'].filter((character) => words.includes(character)));
  return dangers;
}
