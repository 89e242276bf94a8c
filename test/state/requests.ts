import { request } from 'node:http';
import type { StateAccess } from '../../src/state/state-server.js';

export interface Answer {
  status: number;
  body: string;
}

/** A request as Terraform's http backend makes it. */
export function ask(
  access: Pick<StateAccess, 'address' | 'username' | 'password'>,
  method: string,
  { body, query = '', headers = {} }: { body?: Buffer | string; query?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const auth = `${access.username}:${access.password}`;
    const sent = request(access.address + query, { method, auth, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export const lock = (id: string) =>
  JSON.stringify({ ID: id, Operation: 'OperationTypeApply', Who: 'root@host', Version: '1.11.4' });
