import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sandboxAvailable } from '../support/bubblewrap.js';
import { command, onPostgres, SETTINGS, World, workspace } from './world.js';

const PLAN = 'signalbox/network (plan)';
const SECRET = 'planted-4c1f9be7';
const PROVIDER =
  'terraform.d/plugins/registry.terraform.io/hashicorp/external/1.0.0/linux_amd64/terraform-provider-external';

/** What a program does that wants to know everything: it looks, and knocks at each door that it finds. */
const spy = (report: string, port: number, otherRun: string) => `#!/bin/bash
{
env
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'
find / \\( -path /usr -o -path /proc -o -path /sys -o -path /dev -o -path ${report} \\) -prune -o -type f -size -256k -print0 | xargs -0 cat
state=\${TF_HTTP_ADDRESS#http://127.0.0.1:}
exec 3<>/dev/tcp/127.0.0.1/\${state%%/*}
printf 'GET /runs/${otherRun}/state HTTP/1.0\\r\\nAuthorization: Basic %s\\r\\n\\r\\n' \\
  "$(printf '%s' "$TF_HTTP_USERNAME:$TF_HTTP_PASSWORD" | base64 -w0)" >&3
read -r -t 5 line <&3
echo "state of another run: $line"
# PostgreSQL's start of a conversation, as the user that has everything, without a password.
exec 3<>/dev/tcp/127.0.0.1/${port}
printf '\\0\\0\\0\\052\\0\\003\\0\\0user\\0signalbox\\0database\\0postgres\\0\\0' >&3
echo "PostgreSQL: $(timeout 5 head -c 13 <&3 | od -An -tx1)"
} >${report}/$$ 2>&1
`;

/** The same without a program: Terraform's own functions, and a data source that is built in. */
const LOOK = `
locals {
  environments = { for path in fileset("/proc", "[0-9]*/environ") : path => try(filebase64("/proc/\${path}"), "closed") }
  linked       = try(file("\${path.module}/link"), "nothing")
}
output "environments" {
  value = [for path, text in local.environments : try(base64decode(text), text)]
}
output "linked" {
  value = local.linked
}
`;

const suite = sandboxAvailable ? describe : describe.skip;

suite('A pull request that looks for secrets', () => {
  const reports = mkdtempSync(join(tmpdir(), 'signalbox-test-reports-'));
  let world: World;
  beforeAll(async () => {
    world = await World.start(onPostgres, {
      env: { SANDBOX_PATHS: `${reports}:rw`, SANDBOX: 'required', UNRELATED: SECRET, RUN_PROCESSES: '100' },
    });
  });
  afterAll(async () => {
    await world.end();
    rmSync(reports, { recursive: true, force: true });
  });

  test('finds none: not in what its plan prints, not with a provider of its own, not by asking on loopback', async () => {
    const { github, database } = world;
    const encryptionKey = join(world.directory, 'web', 'encryption-key');
    const repo = await world.appliedRepository({ 'network/main.tf': command('a', 'true') });
    const looking = await world.pullRequest(repo, { 'network/look.tf': LOOK }, { branch: 'look' });
    await world.alice.push(repo, {
      branch: 'look',
      files: { 'network/link': { content: join(world.directory, 'web', 'process.lock'), mode: '120000' } },
    });
    const plan = await world.check(repo, { name: PLAN, sha: looking.headSha, conclusion: 'success' });
    expect(plan.text).toMatch(/linked\s+= "nothing"/);

    const port = Number(new URL(database.url).port);
    const [other] = await world.query<{ id: string }>("select id from runs where state = 'applied'");
    await world.alice.push(repo, {
      branch: 'spy',
      from: repo.defaultBranch,
      files: {
        'network/spy.tf': 'data "external" "spy" {\n  program = ["sh"]\n}\n',
        [`network/${PROVIDER}`]: { content: spy(reports, port, other?.id ?? ''), mode: '100755' },
      },
    });
    const spying = await world.alice.openPullRequest(repo, { head: 'spy', title: 'Spy' });
    const failed = await world.check(repo, { name: PLAN, sha: spying.headSha, conclusion: 'failure' });

    const names = readdirSync(reports);
    expect(names.length).toBeGreaterThan(0);
    const seen = names.map((name) => readFileSync(join(reports, name), 'latin1')).join('\n');
    // It did run, did look, and was sent away: R, 23 bytes, 10 is PostgreSQL asking for a password.
    expect(seen.match(/^(?:TF_HTTP_USERNAME|state of another run|PostgreSQL).*$/gm)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^TF_HTTP_USERNAME=run-/),
        expect.stringMatching(/^state of another run: HTTP\/1.1 40[134]/),
        expect.stringMatching(/^PostgreSQL: +52 00 00 00 17 00 00 00 0a/),
      ]),
    );
    const { privateKey, webhookSecret } = github.app;
    const secrets = [
      ...[SECRET, webhookSecret, new URL(database.url).password, privateKey.split('\n')[3] ?? ''],
      ...[...github.tokens.keys()],
      ...['BEGIN RSA PRIVATE KEY', 'DATABASE_URL=', 'ENCRYPTION_KEY=', 'PRIVATE_KEY=', encryptionKey],
    ];
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(5);
      for (const text of [seen, plan.text, failed.text, failed.summary, plan.summary])
        expect(text).not.toContain(secret);
    }
  });

  test('can not have as many processes as it likes: it ends as an error that names the limit', async () => {
    const repo = await world.appliedRepository({ 'network/main.tf': command('a', 'true') });
    await world.alice.push(repo, {
      branch: 'many',
      from: repo.defaultBranch,
      files: {
        'network/many.tf': 'data "external" "many" {\n  program = ["sh"]\n}\n',
        [`network/${PROVIDER}`]: {
          content: '#!/bin/bash\nfor n in {1..150}; do sleep 600 & done; wait\n',
          mode: '100755',
        },
      },
    });
    const pull = await world.alice.openPullRequest(repo, { head: 'many', title: 'Many' });
    const failed = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'failure' });
    expect(`${failed.title} ${failed.summary}`).toContain('more than 100 processes and threads');
    expect(`${failed.title} ${failed.summary}`).toContain('RUN_PROCESSES');
  });

  test('can not take our place as the backend, write elsewhere, or hide a huge file', async () => {
    const { alice } = world;
    const backend = 'terraform {\n  backend "local" {\n    path = "/tmp/theirs.tfstate"\n  }\n}\n';
    const main = command(
      'a',
      `head -c 3000000 /dev/zero >big; (echo x >${join(world.directory, 'web', 'x')}) || echo refused`,
    );
    const repo = await world.repository();
    const sha = await alice.push(repo, {
      files: {
        [SETTINGS]: workspace('network', 'auto-apply: true'),
        'network/main.tf': main,
        'network/~z_override.tf': backend,
        'network/zzz_override.tf': backend,
      },
    });
    const applied = await world.check(repo, { sha, conclusion: 'success' });
    expect(applied.text).toContain('refused');
    const states = await world.query(
      'select 1 from state_versions v join workspaces w on w.id = v.workspace_id where w.repository_id = $1',
      [repo.id],
    );
    expect(states.length).toBeGreaterThan(0);
    expect(readdirSync(join(world.directory, 'web'))).not.toContain('x');
  });
});

suite('Without bubblewrap', () => {
  test('SANDBOX=required refuses to start and says what to do; auto warns', async () => {
    const { spawn } = await import('node:child_process');
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-test-sandbox-'));
    const broken = join(directory, 'bin');
    const { mkdirSync, writeFileSync } = await import('node:fs');
    mkdirSync(broken);
    writeFileSync(
      join(broken, 'bwrap'),
      '#!/bin/sh\necho "bwrap: setting up uid map: Permission denied" >&2\nexit 1\n',
      { mode: 0o755 },
    );
    const world = await World.start(onPostgres, { env: { PATH: `${broken}:${process.env.PATH}` } });
    try {
      expect(world.log).toContain('Terraform runs WITHOUT a sandbox');
      expect(world.log).toContain('setting up uid map: Permission denied');
      const child = spawn(process.execPath, ['dist/index.js'], {
        env: {
          PATH: `${broken}:${process.env.PATH}`,
          SANDBOX: 'required',
          ROLES: 'worker',
          DATA_DIR: join(directory, 'data'),
          DATABASE_URL: world.database.url,
          ENCRYPTION_KEY: '00'.repeat(32),
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      const code = await new Promise((resolve) => child.once('close', resolve));
      expect(code).toBe(1);
      expect(said).toMatch(/SANDBOX is required, but there is none here: .*Permission denied.*Install bubblewrap/);
    } finally {
      await world.end();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
