import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  RefusedVariableError,
  refusedPattern,
  refusedVariable,
  terraformEnvironment,
} from '../../src/terraform/environment.js';

const SECRETS = {
  APP_ID: '123456789',
  PRIVATE_KEY: 'the private key',
  PRIVATE_KEY_PATH: '/etc/key.pem',
  WEBHOOK_SECRET: 'the webhook secret',
  GITHUB_CLIENT_SECRET: 'the client secret',
  DATABASE_URL: 'postgres://u:the-database@h/d',
  REDIS_URL: 'redis://:the-redis@h',
  ENCRYPTION_KEY: 'the encryption key',
};
const TRICKS = {
  TF_CLI_ARGS: '-destroy',
  TF_CLI_ARGS_plan: '-destroy',
  TF_WORKSPACE: 'other',
  TF_DATA_DIR: '/elsewhere',
  TF_LOG: 'trace',
  TF_LOG_PATH: '/elsewhere',
  TF_CLI_CONFIG_FILE: '/elsewhere',
  TF_HTTP_ADDRESS: 'http://elsewhere',
  TF_REATTACH_PROVIDERS: '{}',
  GIT_SSH_COMMAND: 'sh',
  LD_PRELOAD: '/evil.so',
  NODE_OPTIONS: '--require evil',
  BASH_ENV: '/evil',
};
const from = { PATH: '/usr/bin', ...SECRETS, ...TRICKS, LANG: 'C.UTF-8', AWS_REGION: 'eu-west-1', OTHER: 'not let in' };
const places = { home: '/home/run', tmp: '/tmp/run' };

describe("a run's environment", () => {
  test('holds what Terraform needs and nothing else', () => {
    const { environment, masked } = terraformEnvironment({ runEnv: [], from, ...places });
    expect(environment).toEqual({
      PATH: '/usr/bin',
      HOME: '/home/run',
      TMPDIR: '/tmp/run',
      LANG: 'C.UTF-8',
      GOGC: '400',
      CHECKPOINT_DISABLE: '1',
      TF_IN_AUTOMATION: '1',
      TF_INPUT: '0',
    });
    expect(masked).toEqual([]);
  });

  test('gets the state backend, the provider cache and further variables', () => {
    const { environment, masked } = terraformEnvironment({
      runEnv: [],
      from,
      ...places,
      pluginCacheDir: '/cache',
      extra: { TF_VAR_size: 'small', STAGE: 'test' },
      state: {
        address: 'http://s',
        lockAddress: 'http://l',
        unlockAddress: 'http://u',
        username: 'n',
        password: 'pass-word',
      },
    });
    expect(environment).toMatchObject({
      TF_PLUGIN_CACHE_DIR: '/cache',
      TF_VAR_size: 'small',
      STAGE: 'test',
      TF_HTTP_ADDRESS: 'http://s',
      TF_HTTP_LOCK_ADDRESS: 'http://l',
      TF_HTTP_UNLOCK_ADDRESS: 'http://u',
      TF_HTTP_USERNAME: 'n',
      TF_HTTP_PASSWORD: 'pass-word',
      TF_HTTP_RETRY_MAX: '8',
    });
    expect(masked).toEqual(['pass-word']);
  });

  test('lets in exact names and beginnings, and masks what may be secret', () => {
    const key = '{\n  "private_key": "abc\\ndef"\n}';
    const { environment, masked } = terraformEnvironment({
      runEnv: ['AWS_*', 'GOOGLE_CREDENTIALS', 'TF_VAR_*', 'TF_TOKEN_*', 'ABSENT'],
      from: {
        ...from,
        AWS_SECRET_ACCESS_KEY: 'aws-secret',
        AWS_SHARED_CREDENTIALS_FILE: '/etc/aws/credentials',
        AWS_MAX_ATTEMPTS: '5',
        GOOGLE_CREDENTIALS: key,
        TF_VAR_password: 'hunter2',
        TF_TOKEN_example_com: 'registry-token',
      },
      ...places,
    });
    expect(environment).toMatchObject({
      AWS_REGION: 'eu-west-1',
      AWS_SECRET_ACCESS_KEY: 'aws-secret',
      GOOGLE_CREDENTIALS: key,
      TF_VAR_password: 'hunter2',
      TF_TOKEN_example_com: 'registry-token',
    });
    expect(environment).not.toHaveProperty('OTHER');
    expect(masked).toEqual([
      JSON.stringify(key).slice(1, -1),
      key,
      '"private_key": "abc\\ndef"',
      'registry-token',
      'aws-secret',
      'hunter2',
    ]);
  });

  test('passes proxies and certificates on, and masks the password of a proxy', () => {
    const { environment, masked } = terraformEnvironment({
      runEnv: [],
      from: { ...from, HTTPS_PROXY: 'http://me:p%40ss@proxy:3128', no_proxy: 'localhost', SSL_CERT_FILE: '/ca.pem' },
      ...places,
    });
    expect(environment).toMatchObject({
      HTTPS_PROXY: 'http://me:p%40ss@proxy:3128',
      no_proxy: 'localhost',
      SSL_CERT_FILE: '/ca.pem',
    });
    expect(masked).toEqual(['p%40ss', 'p@ss']);
  });

  test.each([...Object.keys({ ...SECRETS, ...TRICKS }), 'PATH', 'HOME', 'SIGNALBOX_RUN'])('never gets %s', (name) => {
    expect(refusedPattern(name)).toContain(name);
    expect(refusedVariable(name)).toContain(name);
    expect(() => terraformEnvironment({ runEnv: [name], from, ...places })).toThrow(RefusedVariableError);
    expect(() => terraformEnvironment({ runEnv: [], from, ...places, extra: { [name]: 'x' } })).toThrow(
      RefusedVariableError,
    );
  });

  test.each([
    '*',
    'T*',
    'TF_*',
    'TF_V*',
    'TF_CLI_*',
    'P*',
    'PRIVATE_*',
    'GITHUB_*',
    'L*',
    'a b',
    '',
    '*_TOKEN',
    'A**',
    '1X',
  ])('refuses the pattern "%s"', (pattern) => {
    expect(refusedPattern(pattern)).toBeDefined();
  });

  test.each(['AWS_*', 'ARM_*', 'GOOGLE_*', 'GITHUB_TOKEN', 'TF_VAR_*', 'TF_VAR_x', 'TF_TOKEN_*', 'SSH_AUTH_SOCK'])(
    'accepts the pattern "%s"',
    (pattern) => {
      expect(refusedPattern(pattern)).toBeUndefined();
    },
  );

  test('whatever pattern is accepted, no secret and no trick comes in', () => {
    const names = Object.keys({ ...SECRETS, ...TRICKS });
    const pattern = fc.oneof(
      fc.constantFrom(...names).chain((name) => fc.nat(name.length).map((at) => `${name.slice(0, at)}*`)),
      fc.stringMatching(/^[A-Z_]{1,6}\*?$/),
    );
    fc.assert(
      fc.property(pattern, (accepted) => {
        fc.pre(refusedPattern(accepted) === undefined);
        const { environment } = terraformEnvironment({ runEnv: [accepted], from, ...places });
        expect(names.filter((name) => name in environment)).toEqual([]);
      }),
    );
  });
});
