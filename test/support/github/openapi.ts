import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import type { Json } from './http.js';

interface Parameter {
  name: string;
  in: string;
  required: boolean;
  schema: Json;
}

interface Operation {
  parameters: Parameter[];
  body?: { required: boolean; schema: Json };
  responses: Record<string, Json | true>;
}

interface Description {
  version: string;
  operations: Record<string, Operation>;
  schemas: Json;
}

/**
 * GitHub's OpenAPI description of the operations that are served, made by `extract-openapi.ts`. Stricter than GitHub in
 * one thing: properties that the description doesn't know are errors here, where GitHub ignores them.
 */
export class OpenApi {
  readonly #description: Description;
  readonly #ajv: Ajv;
  readonly #validators = new Map<string, ValidateFunction>();

  constructor() {
    const text = readFileSync(new URL('openapi.generated.json', import.meta.url), 'utf8');
    this.#description = JSON.parse(text.replaceAll('"#/schemas/', '"github#/schemas/')) as Description;
    this.#ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: 'array', logger: false });
    formats.default(this.#ajv);
    this.#ajv.addSchema({ $id: 'github', schemas: this.#description.schemas });
  }

  get operations(): string[] {
    return Object.keys(this.#description.operations);
  }

  /** What is wrong with a request; nothing when it is as described. */
  request(route: string, query: URLSearchParams, body: unknown): string[] {
    const operation = this.#description.operations[route];
    if (!operation) return [`${route} is not in GitHub's description`];
    return [...this.#parameters(route, operation, query), ...this.#body(route, operation, body)];
  }

  /** What is wrong with our own answer. */
  response(route: string, status: number, body: unknown): string[] {
    const operation = this.#description.operations[route];
    if (!operation || status >= 300) return [];
    const schema = operation.responses[String(status)];
    if (schema === undefined) return [`${route} answers no ${status}`];
    return schema === true ? [] : this.#check(`${route} ${status}`, schema, body);
  }

  #parameters(route: string, operation: Operation, query: URLSearchParams): string[] {
    const known = operation.parameters.filter((parameter) => parameter.in === 'query');
    const errors: string[] = [];
    for (const [name, value] of query) {
      const parameter = known.find((each) => each.name === name);
      if (!parameter) errors.push(`query parameter ${name} is unknown`);
      else
        errors.push(
          ...this.#check(`${route} ?${name}`, { type: 'object', properties: { value: parameter.schema } }, { value }),
        );
    }
    for (const { name, required } of known)
      if (required && !query.has(name)) errors.push(`query parameter ${name} is missing`);
    return errors;
  }

  #body(route: string, operation: Operation, body: unknown): string[] {
    if (body === undefined) return operation.body?.required ? ['the body is missing'] : [];
    if (!operation.body) return Object.keys(body as Json).length > 0 ? ['a body is not expected'] : [];
    // Coercion is for query parameters: a body's numbers are no strings.
    const errors = this.#check(`${route} body`, closed(operation.body.schema), body, false);
    const { status, conclusion } = body as Json;
    if (/\/check-runs(\/\{check_run_id\})?$/.test(route) && status === 'completed' && !conclusion)
      errors.push('completed needs a conclusion');
    return errors;
  }

  readonly #strictAjv = new Ajv({ strict: false, allErrors: true, logger: false });
  #prepared = false;

  #check(key: string, schema: Json, value: unknown, coerce = key.includes('?')): string[] {
    let validate = this.#validators.get(key);
    if (!validate) {
      validate = (coerce ? this.#ajv : this.#exact).compile(schema);
      this.#validators.set(key, validate);
    }
    if (validate(value)) return [];
    return (validate.errors ?? []).map((error) => {
      const detail = error.keyword === 'additionalProperties' ? `: ${error.params.additionalProperty}` : '';
      return `${error.instancePath || '/'} ${error.message}${detail}`;
    });
  }

  get #exact(): Ajv {
    if (!this.#prepared) {
      formats.default(this.#strictAjv);
      this.#strictAjv.addSchema({ $id: 'github', schemas: this.#description.schemas });
      this.#prepared = true;
    }
    return this.#strictAjv;
  }
}

/** The schema with `additionalProperties: false` on every object whose properties are listed in one place. */
function closed(schema: unknown): Json {
  if (schema === null || typeof schema !== 'object') return schema as unknown as Json;
  const copy: Json = { ...(schema as Json) };
  const alternatives = [copy.anyOf, copy.oneOf, copy.allOf].flat().filter(Boolean) as Json[];
  const listed = (name: string) => name in ((copy.properties ?? {}) as Json);
  const complete = alternatives.every((each) => Object.keys((each.properties ?? {}) as Json).every(listed));
  if (copy.properties) {
    const entries = Object.entries(copy.properties as Json).map(([name, value]) => [name, closed(value)]);
    copy.properties = Object.fromEntries(entries);
    if (complete && copy.additionalProperties === undefined) copy.additionalProperties = false;
  }
  if (copy.items) copy.items = closed(copy.items);
  return copy;
}
