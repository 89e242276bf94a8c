import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findTerraform, PINNED_VERSION, TerraformUnavailableError } from '../../src/terraform/install.js';
import { removeTemporaryDirectories, temporaryDirectory } from './support.js';

const platform = `${process.platform}_${process.arch === 'x64' ? 'amd64' : process.arch}`;
let zip: Buffer;
let checksums: Record<string, string>;

beforeAll(async () => {
  const { path } = await findTerraform({ path: process.env.PATH ?? '', dataDirectory: '/nowhere' });
  zip = zipOf({ 'LICENSE.txt': Buffer.from('licence'), terraform: readFileSync(path) });
  checksums = { [platform]: createHash('sha256').update(zip).digest('hex') };
});
afterAll(removeTemporaryDirectories);

/** A zip file, as small as they come. */
function zipOf(files: Record<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const data = deflateRawSync(content, { level: 1 });
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4); // deflate
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004'), common, Buffer.from(name), data]);
    directory.push(Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000'), common, tail, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006');
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

async function serving<T>(listener: RequestListener, use: (url: string, requests: string[]) => Promise<T>): Promise<T> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror/`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A program that says it is Terraform of this version. */
function pretend(text: string): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'terraform'), `#!/bin/sh\n${text}\n`);
  chmodSync(join(directory, 'terraform'), 0o755);
  return directory;
}

describe('on the path', () => {
  test('the first one is used', async () => {
    const directory = pretend(`echo '{"terraform_version":"1.12.0-beta1"}'`);
    const path = `relative:/no/such/place:${directory}:${pretend('exit 1')}`;
    const found = await findTerraform({ path, dataDirectory: '/nowhere' });
    expect(found).toEqual({ path: join(directory, 'terraform'), version: '1.12.0-beta1' });
  });

  test('one that is too old is refused, with what to do', async () => {
    const path = pretend(`echo '{"terraform_version":"1.8.5"}'`);
    const finding = findTerraform({ path, dataDirectory: '/nowhere' });
    await expect(finding).rejects.toThrow(TerraformUnavailableError);
    await expect(finding).rejects.toThrow(/is Terraform 1\.8\.5, but 1\.9 or newer is needed: upgrade it/);
  });

  test('one that does not work is refused', async () => {
    const path = pretend('echo broken >&2; exit 1');
    await expect(findTerraform({ path, dataDirectory: '/nowhere' })).rejects.toThrow(/can't be used/);
  });
});

describe('where there is none on the path', () => {
  const find = (releasesUrl: string, dataDirectory: string, expected = checksums) =>
    findTerraform({ path: '', dataDirectory, releasesUrl, checksums: expected });

  test('it is downloaded, checked, unpacked and kept', async () => {
    const data = temporaryDirectory();
    await serving(
      (_, response) => response.end(zip),
      async (url, requests) => {
        const found = await find(url, data);
        expect(found).toEqual({
          path: join(data, 'terraform', `${PINNED_VERSION}_${platform}`, 'terraform'),
          version: PINNED_VERSION,
        });
        expect(
          JSON.parse(execFileSync(found.path, ['version', '-json'], { env: {} }).toString()).terraform_version,
        ).toBeTruthy();
        expect(await find(url, data)).toEqual(found);
        expect(requests).toEqual([`/mirror/terraform/${PINNED_VERSION}/terraform_${PINNED_VERSION}_${platform}.zip`]);
        expect(readdirSync(join(data, 'terraform')).sort()).toEqual(['.lock', `${PINNED_VERSION}_${platform}`]);
      },
    );
  });

  test('two who need it at once download it once, also from two processes', async () => {
    const data = temporaryDirectory();
    const module = pathToFileURL(join(process.cwd(), 'src/terraform/install.ts')).href;
    await serving(
      (_, response) => setTimeout(() => response.end(zip), 300),
      async (url, requests) => {
        const options = JSON.stringify({ path: '', dataDirectory: data, releasesUrl: url, checksums });
        const { spawn } = await import('node:child_process');
        const other = spawn(
          process.execPath,
          [
            '--import',
            'tsx',
            '--input-type=module',
            '-e',
            `import { findTerraform } from ${JSON.stringify(module)}; await findTerraform(${options});`,
          ],
          { stdio: 'inherit' },
        );
        const exit = new Promise((resolve) => other.once('exit', resolve));
        const [a, b] = await Promise.all([find(url, data), find(url, data)]);
        expect(a).toEqual(b);
        expect(await exit).toBe(0);
        expect(requests).toHaveLength(1);
      },
    );
  });

  test('one whose checksum is wrong is not used', async () => {
    const data = temporaryDirectory();
    await serving(
      (_, response) => response.end(zip),
      async (url, requests) => {
        const finding = find(url, data, { [platform]: '0'.repeat(64) });
        await expect(finding).rejects.toThrow(TerraformUnavailableError);
        await expect(finding).rejects.toThrow(/is not what was expected \(SHA-256 [0-9a-f]{64} instead of 0000/);
        expect(requests).toHaveLength(1);
        expect(readdirSync(join(data, 'terraform'))).toEqual(['.lock']);
      },
    );
  });

  test('a server without it is named', async () => {
    await serving(
      (_, response) => response.writeHead(404).end(),
      async (url) => {
        const finding = find(url, temporaryDirectory());
        await expect(finding).rejects.toThrow(TerraformUnavailableError);
        await expect(finding).rejects.toThrow(/could not be installed: the server answered 404\. Install Terraform/);
      },
    );
  });

  test('a connection that is cut is tried again, for a while', async () => {
    let cuts = 0;
    const cutting: RequestListener = (_, response) => {
      if (cuts-- <= 0) return void response.end(zip);
      response.writeHead(200, { 'content-length': zip.length });
      response.write(zip.subarray(0, 100_000), () => response.destroy());
    };
    await serving(cutting, async (url, requests) => {
      cuts = 1;
      const data = temporaryDirectory();
      expect(existsSync((await find(url, data)).path)).toBe(true);
      expect(requests).toHaveLength(2);
      cuts = 100;
      await expect(find(url, temporaryDirectory())).rejects.toThrow(/the connection broke/);
      expect(requests).toHaveLength(5);
    });
  });

  test('nothing that answers is said so', async () => {
    const url = await serving(
      (_, response) => response.end(),
      async (address) => address,
    );
    await expect(find(url, temporaryDirectory())).rejects.toThrow(
      /could not be installed: fetch failed: .*ECONNREFUSED/,
    );
  });

  test('a platform without a build is told to install it', async () => {
    await expect(find('http://127.0.0.1:9', temporaryDirectory(), {})).rejects.toThrow(
      `none to download for ${platform}`,
    );
  });

  test('a link in its place is not followed out of the data directory', async () => {
    const data = temporaryDirectory();
    mkdirSync(join(data, 'terraform'));
    symlinkSync('/no/such/place', join(data, 'terraform', `${PINNED_VERSION}_${platform}`));
    await serving(
      (_, response) => response.end(zip),
      async (url) => {
        expect(existsSync((await find(url, data)).path)).toBe(true);
      },
    );
  });
});
