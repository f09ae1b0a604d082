// Images that are not here any more: withdrawn by the site, or deleted because their time is over. Said, never shown as an error.

import { asSentence } from '/web/api.js';
import { h } from '/web/dom.js';

/** Whether the site has taken a study of the case back (P17). */
export const isWithdrawn = (data) => Boolean(data.recalled) || data.workitem?.readiness === 'UNAVAILABLE';

/** What stands where the images stood. */
export const withdrawnNotice = () => h('div', { class: 'empty withdrawn', role: 'alert' }, h('strong', null, 'Withdrawn by the site.'),
  h('p', null, 'The images are not shown any more, and the gateway deletes them.'));

/** Why the images of a case are gone, as a sentence; empty while there are any. */
export function goneWords(data) {
  const why = data.studies?.find((study) => study.role === 'current' && study.images_gone)?.images_gone;
  return why ? asSentence(why) : '';
}
