// @ts-check
/** The patterns page's moving parts. */

import { now, ring } from './clock.js';
import { byId } from './dom.js';
import { settings } from './frame.js';

settings();
byId('link-state').hidden = true;
byId('rings').append(...[1, 0.6, 0.25, 0.02].map(share => ring(now() - 1000 * (1 - share), now() + 1000 * share)));
