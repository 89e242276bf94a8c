import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { NotReady } from '../../src/web/readiness.js';
import { type ReceiveWebhook, startWebServer, type WebServer, type WebServerOptions } from '../../src/web/server.js';

const LIMIT = 1024 * 1024;
let server: WebServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(options: Partial<WebServerOptions> = {}): Promise<string> {
  server = await startWebServer({
    host: '127.0.0.1',
    port: 0,
    checks: {},
    receiveWebhook: async () => ({ status: 202, text: 'Recorded.' }),
    maxBodyBytes: LIMIT,
    ...options,
  });
  return `http://127.0.0.1:${server.port}`;
}

const webhook = (url: string, init: RequestInit) => fetch(`${url}/api/github/webhooks`, { method: 'POST', ...init });

test('a webhook is handed on exactly as it came', async () => {
  const seen: { body: Buffer; event: string | undefined }[] = [];
  const receiveWebhook: ReceiveWebhook = async ({ body, header }) => {
    seen.push({ body: Buffer.from(body), event: header('x-github-event') });
    return { status: 401, text: 'No.' };
  };
  const url = await start({ receiveWebhook });
  const body = Buffer.from([0, 255, 0xc3, 0x28, 13, 10]);
  const answer = await webhook(url, { body, headers: { 'X-GitHub-Event': 'push' } });
  expect([answer.status, await answer.text()]).toEqual([401, 'No.']);
  expect(seen).toEqual([{ body, event: 'push' }]);
  await webhook(url, {});
  expect(seen[1]?.body).toHaveLength(0);
});

describe('a body that is too long', () => {
  test('is answered with 413, and handed to nobody', async () => {
    let handed = 0;
    const url = await start({
      receiveWebhook: async () => {
        handed += 1;
        return { status: 202, text: '' };
      },
    });
    expect((await webhook(url, { body: Buffer.alloc(LIMIT) })).status).toBe(202);
    expect((await webhook(url, { body: Buffer.alloc(LIMIT + 1) })).status).toBe(413);
    expect(handed).toBe(1);
  });

  test('is not read to its end, also where its length was never said', async () => {
    const url = await start();
    const sending = request(`${url}/api/github/webhooks`, { method: 'POST' });
    sending.on('error', () => undefined);
    const answered = once(sending, 'response');
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    const timer = setInterval(() => {
      sending.write(piece);
      sent += piece.length;
    }, 1);
    const [response] = await answered;
    clearInterval(timer);
    sending.destroy();
    expect(response.statusCode).toBe(413);
    expect(sent).toBeLessThan(LIMIT * 20);
  });
});

test('what goes wrong inside is told to us, not to the network', async () => {
  const errors: Error[] = [];
  const url = await start({
    receiveWebhook: async () => {
      throw new Error('inner text of an error');
    },
    onError: (error) => errors.push(error),
  });
  const answer = await webhook(url, { body: 'x' });
  expect([answer.status, await answer.text()]).toEqual([500, 'Internal error']);
  expect(errors.map(({ message }) => message)).toEqual(['inner text of an error']);
});

test('what is not there is not found', async () => {
  const url = await start();
  for (const path of ['/', '/nothing', '/api/github/webhooks', '/../../etc/passwd', '/%2e%2e/package.json']) {
    const answer = await fetch(url + path);
    expect([answer.status, await answer.text()]).toEqual([404, 'Not found']);
  }
});

test('a worker on its own takes no webhooks, and says how it is', async () => {
  const url = await start({ receiveWebhook: undefined });
  expect((await webhook(url, { body: 'x' })).status).toBe(404);
  expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok');
});

test('/readyz is 200 when everything answers, and 503 with the reasons when not, without inner text', async () => {
  let broken = false;
  const url = await start({
    checks: {
      record: async () => {
        if (broken) throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
      },
      process: async () => {
        if (broken) throw new NotReady('stops when its runs have ended');
      },
    },
  });
  const well = await fetch(`${url}/readyz`);
  expect([well.status, await well.json()]).toEqual([200, { ready: true, checks: { record: 'ok', process: 'ok' } }]);
  broken = true;
  const ill = await fetch(`${url}/readyz`);
  expect([ill.status, await ill.json()]).toEqual([
    503,
    { ready: false, checks: { record: 'does not answer', process: 'stops when its runs have ended' } },
  ]);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

describe('/metrics', () => {
  const metrics = { text: async () => 'signalbox_up 1\n', contentType: 'text/plain; version=0.0.4', token: undefined };
  const get = async (url: string, authorization?: string) =>
    fetch(`${url}/metrics`, { headers: authorization === undefined ? {} : { authorization } });

  test('is not there unless somebody has metrics', async () => {
    expect((await get(await start())).status).toBe(404);
  });

  test('answers in the type that Prometheus expects', async () => {
    const answer = await get(await start({ metrics }));
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'text/plain; version=0.0.4',
      'signalbox_up 1\n',
    ]);
  });

  test('is for whoever has the token, where there is one', async () => {
    const url = await start({ metrics: { ...metrics, token: 'sesame-open-now-1' } });
    for (const wrong of [undefined, '', 'Bearer', 'Bearer sesame', 'Basic sesame-open-now-1', 'sesame-open-now-1']) {
      const answer = await get(url, wrong);
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      expect(await answer.text()).not.toContain('signalbox_up');
    }
    expect((await get(url, 'Bearer sesame-open-now-1')).status).toBe(200);
  });
});

test('a port that is taken is an error', async () => {
  await start();
  const port = server?.port ?? 0;
  await expect(
    startWebServer({ host: '127.0.0.1', port, checks: {}, receiveWebhook: undefined, maxBodyBytes: 1 }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('closing waits for answers, and not for ever for whoever sends nothing', async () => {
  let answer: (text: string) => void = () => undefined;
  const url = await start({
    receiveWebhook: () =>
      new Promise((resolve) => {
        answer = (text) => resolve({ status: 202, text });
      }),
  });
  const slow = connect(server?.port ?? 0, '127.0.0.1');
  slow.on('error', () => undefined);
  slow.write('POST /api/github/webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc');
  const pending = webhook(url, { body: 'x' });
  await new Promise((resolve) => setTimeout(resolve, 200));
  const closing = server?.close();
  server = undefined;
  answer('Recorded.');
  expect(await (await pending).text()).toBe('Recorded.');
  const started = Date.now();
  await closing;
  expect(Date.now() - started).toBeLessThan(8_000);
  slow.destroy();
});
