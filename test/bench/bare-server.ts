import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A server that reads what it is sent, answers 202, and does nothing else. */
const server = createServer((request, response) => {
  request.resume().on('end', () => response.writeHead(202).end('Accepted'));
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.once('disconnect', () => process.exit());
