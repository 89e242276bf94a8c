/** Jest's own summary mixes suites and tests: this line is for scripts that want to know how many tests ran. */
export default class ClosingLine {
  onRunComplete(_, { numPassedTests, numFailedTests, numRuntimeErrorTestSuites }) {
    // A suite that couldn't even start counts as one test that failed.
    process.stdout.write(`\n${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed\n`);
  }
}
