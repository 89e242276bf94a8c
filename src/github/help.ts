/** The answer to `help`. */
export const HELP = `On the first line of a comment, by somebody with write access to this repository:

| Comment | Signalbox… |
| --- | --- |
| \`plan\` | plans the pull request's head again; allows the head of a fork to be planned |
| \`apply\` | applies what the plan showed, if a fresh plan still makes the same changes |
| \`discard\` | drops runs that wait |
| \`cancel\` | stops runs that are under way |
| \`help\` | shows this |

Each may be followed by names of workspaces; without names it means those that the pull request affects.`;
