import { MirrorError } from '../git/git-error.js';
import { isDiskFull } from '../state/write-durably.js';
import { BackendMismatchError, BackendOverrideError, UnsafePathError } from '../terraform/backend.js';
import { TerraformUnavailableError } from '../terraform/install.js';
import { WorkFilesError } from './work-files.js';

/** A run can't go on, for a reason that its users can do something about. The message is for its check run. */
export class RunFailure extends Error {
  override name = 'RunFailure';
}

const PLAIN = [
  RunFailure,
  MirrorError,
  BackendMismatchError,
  BackendOverrideError,
  UnsafePathError,
  TerraformUnavailableError,
  WorkFilesError,
];

/** What a check run says of an error. Inner text of errors that weren't foreseen stays in the log. */
export function describeFailure(error: unknown): { message: string; foreseen: boolean } {
  if (PLAIN.some((known) => error instanceof known)) return { message: (error as Error).message, foreseen: true };
  if (isDiskFull(error)) {
    return { message: "The worker's disk is full. Free some space, then plan again.", foreseen: true };
  }
  return {
    message: "Something went wrong in Signalbox itself. Its log has the details, under this run's id.",
    foreseen: false,
  };
}
