// @ts-check
/** The server's REST interface: one function, one error. */

/** What the server refused, in its own words. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 when the server did not answer at all
   * @param {{message: string, kind?: string, error?: string, parts?: any[]}} body
   */
  constructor(status, body) {
    super(body.message);
    this.status = status;
    this.kind = body.kind ?? 'bug';
    this.code = body.error ?? '';
    this.parts = body.parts ?? [];
  }
}

/**
 * @param {string} method
 * @param {string} path below /v1
 * @param {object} [body]
 * @param {{timeoutMs?: number}} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, { timeoutMs = 20000 } = {}) {
  let response;
  try {
    response = await fetch(`/v1${path}`, {
      method, credentials: 'same-origin', signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
  } catch {
    throw new ApiError(0, { message: 'The server does not answer. Check your connection, then try again.', kind: 'down' });
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new ApiError(response.status, sentence(answer) ?? { message: `The server answered with ${response.status}.` });
}

/** @param {any} answer */
function sentence(answer) {
  if (!answer || typeof answer.message !== 'string') return null;
  const message = answer.message.charAt(0).toUpperCase() + answer.message.slice(1);
  return { ...answer, message: /[.!?]$/.test(message) ? message : `${message}.` };
}

/** @param {string} path */
export const get = path => call('GET', path);
/** @param {string} path @param {object} [body] */
export const post = (path, body = {}) => call('POST', path, body);

/** @param {string} sandbox @param {string} verb @param {object} [body] */
export const control = (sandbox, verb, body = {}) => post(`/sandboxes/${encodeURIComponent(sandbox)}/control/${verb}`, body);
