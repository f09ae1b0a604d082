// Which case comes next, and taking it: the same order on the worklist, on the case page, and for what is fetched ahead.

import { get, post, Problem } from '/web/api.js';
import { priority } from '/web/words.js';

/** So many are tried, when others are faster. */
const TRIES = 5;

export const byUrgency = (a, b) => priority(a.priority).rank - priority(b.priority).rank || Date.parse(a.waiting_since) - Date.parse(b.waiting_since);

/** Whether somebody else reads it next. A STAT case is kept from nobody. */
const kept = (item) => item.reserved && !item.reserved.mine && item.priority !== 'stat';

/** The cases that nobody has or reads next, the most urgent and the longest waiting first. */
export const waiting = (items) => items.filter((item) => item.state === 'SCHEDULED' && item.readiness !== 'UNAVAILABLE' && !kept(item)).sort(byUrgency);

/** Those of them that nobody else reads next, whatever their urgency: what may be kept for oneself. */
export const free = (items) => waiting(items).filter((item) => !item.reserved || item.reserved.mine);

/** Does `act` ("claim", "reserve") with the first of these that nobody was faster with; its item, or nothing. */
export async function firstOf(items, act, options = {}) {
  for (const item of items.slice(0, TRIES)) {
    try {
      await post(`/workitems/${item.workitem}/${act}`, undefined, options);
      return item;
    } catch (error) {
      if (!(error instanceof Problem && error.status === 409)) throw error;
    }
  }
  return null;
}

/** Claims the first waiting case that nobody was faster with; its item, or nothing. */
export const claimNext = async () => firstOf(waiting((await get('/worklist')).data.items), 'claim');
