// @ts-check
/** The words and icons of blockers, holders, outcomes and conditions. */

/** @type {Record<string, [icon: string, label: string, ask: string]>} */
const BLOCKERS = {
  captcha: ['captcha', 'CAPTCHA', 'The agent needs a human to pass a CAPTCHA.'],
  credentials: ['credentials', 'Sign-in', 'The agent needs someone to sign in.'],
  one_time_code: ['one_time_code', 'One-time code', 'The agent needs a one-time code.'],
  passkey: ['passkey', 'Passkey', 'The agent needs someone with a passkey.'],
  payment: ['payment', 'Payment', 'The agent needs someone to pay.'],
  approval: ['approval', 'Approval', 'The agent asks for your approval.'],
  dialog: ['dialog', 'Dialog', 'The page asks something the agent cannot answer.'],
  upload: ['upload', 'Upload', 'The agent needs a file from you.'],
  consent: ['consent', 'Consent', 'The page asks for consent.'],
  blocked_page: ['blocked_page', 'Blocked', 'The page turned the agent away.'],
  stuck: ['stuck', 'Stuck', 'The agent does not know how to go on.'],
  unknown: ['unknown', 'Help', 'The agent needs help.'],
};

/** @param {string} kind */
export function blocker(kind) {
  const [name, label, ask] = BLOCKERS[kind] ?? BLOCKERS.unknown;
  return { icon: name, label, ask };
}

/** @type {Record<string, string>} */
const SORTS = {
  recaptcha: 'reCAPTCHA', hcaptcha: 'hCaptcha', turnstile: 'Turnstile', funcaptcha: 'Arkose', friendly_captcha: 'Friendly Captcha', captchafox: 'CaptchaFox', smartcaptcha: 'SmartCaptcha', altcha: 'ALTCHA',
  totp: 'from an app', sms: 'by text message', mail: 'by e-mail', card: 'card', three_d_secure: 'bank confirmation', basic_auth: 'browser sign-in', cookie_consent: 'cookies', permission: 'a permission',
  rate_limited: 'too many requests', access_denied: 'access denied', repeated_action: 'repeats itself', file_chooser: 'a file',
};

/**
 * What detection saw, as one line.
 * @param {{kind: string, sort: string, confidence: number}} finding
 */
export function sightInWords({ kind, sort, confidence }) {
  const detail = SORTS[sort] ? `, ${SORTS[sort]}` : '';
  return { icon: blocker(kind).icon, what: `${blocker(kind).label}${detail}`, sure: confidence >= 0.9 ? 'sure' : confidence >= 0.7 ? 'likely' : 'perhaps' };
}

/** Kinds in which everything the operator types is kept secret. */
export const SECRET_KINDS = new Set(['credentials', 'one_time_code', 'payment']);

/** @type {Record<string, [icon: string, word: string]>} */
const OUTCOMES = {
  resolved: ['done', 'Solved'],
  failed: ['close', 'Failed'],
  declined: ['blocked_page', 'Declined'],
  expired: ['hourglass', 'Ran out of time'],
  cancelled: ['out', 'Withdrawn by the agent'],
};

/** @param {string} state */
export function outcome(state) {
  const [name, word] = OUTCOMES[state] ?? ['unknown', state];
  return { icon: name, word };
}

/**
 * Who holds control, in the console's terms.
 * @param {{side: string, operator: string | null, name: string | null} | undefined | null} holder
 * @param {string} me
 * @returns {{who: 'agent' | 'you' | 'other' | 'nobody', word: string}}
 */
export function holding(holder, me) {
  if (holder?.side === 'agent') return { who: 'agent', word: 'The agent is driving' };
  if (holder?.side !== 'operator') return { who: 'nobody', word: 'Nobody has control' };
  if (holder.operator === me) return { who: 'you', word: 'You have control' };
  return { who: 'other', word: `${holder.name || 'Someone else'} has control` };
}

/** Without the scheme. @param {string} url */
export function short(url) {
  return url.replace(/^https?:\/\//, '').replace(/\/$/, '');
}

/**
 * A completion condition as a sentence.
 * @param {any} condition
 * @returns {string}
 */
export function conditionInWords(condition) {
  if (!condition || typeof condition !== 'object') return 'What the agent waits for';
  if ('url' in condition) return `The address matches ${condition.url}`;
  if ('selector' in condition) {
    const what = elementInWords(String(condition.selector));
    return condition.state === 'gone' ? `${what} is gone` : `${what} is there`;
  }
  if ('cookie' in condition) return `The site has set the cookie ${condition.cookie}`;
  if ('status' in condition) return `The server answers with ${[condition.status].flat().join(' or ')}`;
  if ('predicate' in condition) return `A test of the agent’s holds: ${condition.predicate}`;
  if ('storage' in condition) return `The site has stored ${condition.storage}`;
  if ('text' in condition) return `The page says “${condition.text}”`;
  if ('all' in condition) return condition.all.map(conditionInWords).join(', and ');
  if ('any' in condition) return condition.any.map(conditionInWords).join(', or ');
  if ('not' in condition) return `Not: ${conditionInWords(condition.not)}`;
  return 'What the agent waits for';
}

/** @param {string} selector */
function elementInWords(selector) {
  if (/type=["']?password/.test(selector)) return 'The password field';
  if (/type=["']?file/.test(selector)) return 'The file field';
  return `“${selector}”`;
}

/**
 * The parts of a condition before the server has looked at them.
 * @param {any} condition
 * @returns {{condition: any, met: boolean, why: string}[]}
 */
export function unchecked(condition) {
  if (!condition) return [];
  const parts = Array.isArray(condition.all) ? condition.all : [condition];
  return parts.map((/** @type {any} */ part) => ({ condition: part, met: false, why: '' }));
}
