/** The answer to `help`. */
export const HELP = `On the first line of a comment, by somebody with write access to this repository:

| Comment | Signalbox… |
| --- | --- |
| \`plan\` | plans the pull request's head again; allows the head of a fork to be planned |
| \`apply\` | applies what the plan showed, if a fresh plan still makes the same changes |
| \`discard\` | discards runs that wait |
| \`cancel\` | stops runs that are under way, and discards those that wait |
| \`force-cancel\` | kills a run that a \`cancel\` hasn't ended after 10 s; for administrators |
| \`lock\` | keeps runs from starting; what follows the names is the reason |
| \`unlock\` | lets them start again: one's own lock, or for administrators any; ends a hold for a pull request too |
| \`help\` | shows this |

Each may be followed by names of workspaces; without names it means those that the pull request affects.`;
