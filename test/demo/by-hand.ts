import type { Controls } from './controls.js';
import type { Place } from './place.js';
import { paint } from './terminal.js';

/** How to work with what keeps running. Signalbox listens on `port`. */
export function instructions({ github, infra }: Place, controls: Controls, port: number): string[] {
  const api = `${github.api}/repos/${infra.fullName}`;
  const curl = `curl -H 'Authorization: Bearer ${github.token('alice')}'`;
  const ways: [string, string[]][] = [
    [
      'Open the pages',
      [`http://localhost:${port}/`, 'The local GitHub asks who you are: alice may write, bob may do anything'],
    ],
    ['Clone, as alice', [`git clone ${infra.cloneUrl('alice')}`]],
    ['Push', ['cd infra, edit network/main.tf, git commit -am "Try it", git push']],
    ['See the check runs', [`curl ${controls.url}/`, `curl ${controls.url}/NUMBER`]],
    ['Press a button', [`curl -X POST ${controls.url}/NUMBER/apply`, `curl -X POST ${controls.url}/NUMBER/discard`]],
    [
      'Open a pull request of a branch that you have pushed',
      [`${curl} ${api}/pulls -d '{"title":"Try it","head":"BRANCH","base":"main"}'`],
    ],
    ['Comment on a pull request', [`${curl} ${api}/issues/NUMBER/comments -d '{"body":"apply"}'`]],
    ['Read its comments', [`${curl} ${api}/issues/NUMBER/comments`]],
    ['Merge it', [`${curl} -X PUT ${api}/pulls/NUMBER/merge -d '{}'`]],
  ];
  return ways.flatMap(([title, commands]) => [paint('bold', title), ...commands.map((command) => `  ${command}`), '']);
}
