import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CheckRun } from '../support/github/index.js';
import type { Place } from './place.js';

const CHECK_RUN = /^\/(\d+)(?:\/(\w+))?$/;

/** Stands for GitHub's pages of check runs: lists them, shows one, and presses its buttons as alice. */
export interface Controls {
  url: string;
  close(): void;
}

export async function serveControls({ github, infra }: Place): Promise<Controls> {
  const alice = github.as('alice');
  const server = createServer((request, response) => {
    const [, id, button] = CHECK_RUN.exec(request.url ?? '') ?? [];
    const run = github.checkRuns(infra).find((each) => each.id === Number(id));
    if (request.url === '/') return answer(response, 200, github.checkRuns(infra).map(line).join('\n'));
    if (!run) return answer(response, 404, `There is no check run ${id ?? ''}.`);
    if (button === undefined) return answer(response, 200, page(run));
    if (request.method !== 'POST') return answer(response, 405, 'A button is pressed with POST.');
    alice.press(run, button).then(
      () => answer(response, 200, `Pressed ${button} on ${run.name}.`),
      (error: Error) => answer(response, 422, error.message),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

function line(run: CheckRun): string {
  const buttons = run.actions.map(({ label }) => `  [ ${label} ]`).join('');
  const state = run.conclusion ?? run.status;
  return `${run.id}  ${run.headSha.slice(0, 7)}  ${state.padEnd(15)}  ${run.name}: ${run.title ?? ''}${buttons}`;
}

function page(run: CheckRun): string {
  const annotations = run.annotations.map(({ path, start_line, message }) => `${path}:${start_line}: ${message}`);
  return [line(run), run.summary, ...annotations, run.text].filter(Boolean).join('\n\n');
}
