/**
 * PostgreSQL's classes of errors that pass: 08 connection, 40 rolled back for another transaction's sake (a deadlock), 53
 * resources, 57 the server goes down or comes up or somebody ended the statement, 58 its disk. The rest are Node's, of sockets
 * and of names.
 */
const PASSING = /^(08|40|53|57|58|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|E(HOST|NET)(UNREACH|DOWN))/;

/** pg has no codes for these. */
const MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|Client (has encountered a connection error|was closed))/;

/**
 * Whether what was asked over the network (the record, or whatever else has no errors of its own for that) is away, so that
 * waiting cures it. Of a host with several addresses it is enough that one may be reached later.
 */
export function isAway(error: unknown): boolean {
  const { code, message, errors } = (error ?? {}) as { code?: unknown; message?: unknown; errors?: unknown };
  if (typeof code === 'string' && PASSING.test(code)) return true;
  if (typeof message === 'string' && MESSAGES.test(message)) return true;
  return Array.isArray(errors) && errors.some(isAway);
}
