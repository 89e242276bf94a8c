import { colour } from './colour.js';
import { type Diagnostic, parseDiagnostic, renderDiagnostic } from './diagnostic.js';

/** One line of a `-json` stream. What is beside `type` and `text` depends on the type. */
export interface Message {
  /** `version`, `log`, `diagnostic`, `apply_start`, …; `text` for a line that isn't one of Terraform's messages. */
  type: string;
  text: string;
  fields: Readonly<Record<string, unknown>>;
}

/** A resource that a message is about. */
export interface Hook {
  address: string;
  /** `create`, `read`, `update`, `delete`, … */
  action: string;
}

/** What an apply did, in resources. */
export interface ChangeCounts {
  add: number;
  change: number;
  remove: number;
  import: number;
}

/** Reads one line. Anything that isn't one of Terraform's messages passes as text. */
export function parseMessage(line: string): Message {
  if (line.startsWith('{')) {
    try {
      const fields = JSON.parse(line) as Record<string, unknown>;
      const text = fields['@message'];
      if (typeof text === 'string')
        return { type: typeof fields.type === 'string' ? fields.type : 'log', text, fields };
    } catch {
      // not JSON after all
    }
  }
  return { type: 'text', text: line, fields: {} };
}

/** The message's diagnostic, if it is one. */
export function diagnosticOf(message: Message): Diagnostic | undefined {
  return message.type === 'diagnostic' ? parseDiagnostic(message.fields.diagnostic) : undefined;
}

/** The resource that an `apply_*`, `refresh_*` or `provision_*` message is about. */
export function hookOf(message: Message): Hook | undefined {
  return resourceOf(message.fields.hook);
}

/** The resource that a `planned_change` message is about. */
export function plannedChangeOf(message: Message): Hook | undefined {
  return message.type === 'planned_change' ? resourceOf(message.fields.change) : undefined;
}

/** What an `apply` says at its end that it did. */
export function appliedCountsOf(message: Message): ChangeCounts | undefined {
  const changes = record(message.fields.changes);
  if (message.type !== 'change_summary' || changes?.operation === 'plan' || changes === undefined) return undefined;
  const count = (name: string) => (typeof changes[name] === 'number' ? changes[name] : 0);
  return { add: count('add'), change: count('change'), remove: count('remove'), import: count('import') };
}

/** Whether Terraform says here that it was asked to stop. */
export function saysInterrupted(message: Message): boolean {
  return message.type === 'log' && /^\s*(Interrupt received\.|Stopping operation\.\.\.)/.test(message.text);
}

/**
 * The message as Terraform prints it for people, with colour, its line ends included.
 *
 * @returns `undefined` for what it doesn't print: what is planned is shown by `show` instead
 */
export function renderMessage(message: Message): string | undefined {
  const { type, text, fields } = message;
  switch (type) {
    case 'version':
    case 'planned_change':
    case 'resource_drift':
    case 'refresh_complete':
    case 'provision_complete':
    case 'provision_errored':
      return undefined;
    case 'diagnostic': {
      const diagnostic = diagnosticOf(message);
      return diagnostic ? renderDiagnostic(diagnostic) : `${text}\n`;
    }
    case 'change_summary':
      return appliedCountsOf(message) ? `\n${colour.bold(colour.green(text))}\n` : undefined;
    case 'outputs':
      return renderOutputs(record(fields.outputs) ?? {});
    case 'provision_progress': {
      const hook = record(fields.hook);
      const address = hookOf(message)?.address;
      if (address === undefined || typeof hook?.output !== 'string') return `${text}\n`;
      return `${colour.bold(`${address} (${String(hook.provisioner)}):`)} ${hook.output}\n`;
    }
    case 'refresh_start':
    case 'apply_start':
    case 'apply_progress':
    case 'apply_complete':
    case 'apply_errored':
    case 'provision_start':
      return `${colour.bold(text)}\n`;
    case 'init_output':
      return `${text.replace(/\n+$/, '')}\n`;
    default:
      return `${text}\n`;
  }
}

/** The outputs after an apply. Those in a plan have no values yet: the plan itself shows them. */
function renderOutputs(outputs: Record<string, unknown>): string | undefined {
  const lines = Object.entries(outputs).flatMap(([name, entry]) => {
    const output = record(entry);
    if (output === undefined || 'action' in output) return [];
    return [`${name} = ${output.sensitive === true ? '<sensitive>' : renderValue(output.value, '')}`];
  });
  return lines.length === 0 ? undefined : `\n${colour.bold(colour.green('Outputs:'))}\n\n${lines.join('\n')}\n`;
}

/** A value in HCL's notation. */
function renderValue(value: unknown, indent: string): string {
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[\n${value.map((item) => `${deeper}${renderValue(item, deeper)},\n`).join('')}${indent}]`;
  }
  const object = record(value);
  if (object === undefined) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(object);
  if (entries.length === 0) return '{}';
  return `{\n${entries.map(([key, item]) => `${deeper}${JSON.stringify(key)} = ${renderValue(item, deeper)}\n`).join('')}${indent}}`;
}

function resourceOf(value: unknown): Hook | undefined {
  const holder = record(value);
  const address = record(holder?.resource)?.addr;
  if (holder === undefined || typeof address !== 'string') return undefined;
  return { address, action: typeof holder.action === 'string' ? holder.action : '' };
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
