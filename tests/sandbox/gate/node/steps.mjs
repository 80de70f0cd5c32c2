// The other end of a test: says where the script is and waits for the test to go on.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Report `value` under `name`; resolves with the test's answer. */
export async function step(name, value = null) {
  process.stdout.write(JSON.stringify({ step: name, value }) + '\n');
  const { value: line } = await lines.next();
  return JSON.parse(line);
}

/** The message a promise is rejected with, or null where it is not. */
export async function refusal(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return String(error.message);
  }
}
