// A viewer that stands ready behind the page: its program has started, and once the next case is known, that case's images are loaded (P23).
// Nobody sees it and no key reaches it until it is taken for the very case it holds, or for the first it ever gets.

import { h } from '/web/dom.js';

/** Images that were fetched ahead and not looked at are kept for so long. */
const KEPT_MS = 15 * 60_000;

const ALLOWED = 'fullscreen; cross-origin-isolated';

/** A viewer in a frame, on the address it is to show. */
export const viewer = (address, more = {}) => h('iframe', { src: address, allow: ALLOWED, ...more });

/** Sends the viewer in the frame to another address without starting it again; false when it cannot be told yet. */
function send(frame, address, unseen) {
  try {
    frame.contentWindow.goTo(address, unseen);
    return true;
  } catch {
    return false;
  }
}

/** How a viewer stands, as far as it can be asked. */
function standing(frame) {
  try {
    return frame.contentWindow.progress();
  } catch {
    return { shows: false, failed: false };
  }
}

export class Ready {
  /** `place` is where viewers stand: a frame that is moved begins anew. */
  constructor(place) {
    this.place = place;
    this.frame = null;
    // what its images are of, and none while it has no case
    this.address = null;
    this.forgetting = null;
  }

  /** Starts a viewer without a case, unless one is there. */
  prepare() {
    if (this.frame) return;
    const frame = viewer('/viewer/ready', { inert: true, 'aria-hidden': 'true', title: 'A viewer in waiting' });
    frame.addEventListener('load', () => {
      if (this.frame !== frame) return;
      // a gateway without a viewer says so in plain text, where the images of a case would be
      if (frame.contentDocument?.contentType !== 'text/html') this.drop();
      else if (this.address) send(frame, this.address, true);
    });
    this.frame = frame;
    this.place.append(frame);
  }

  /** Loads the images of the next case. One viewer never has two cases: it is another one when the next case is. */
  load(address) {
    if (this.address === address) return;
    if (this.address) this.drop();
    this.prepare();
    this.address = address;
    send(this.frame, address, true);
    this.keep();
  }

  /** The images stay for as long as a reader may take with the case before; then they go, whoever looks at what. */
  keep() {
    clearTimeout(this.forgetting);
    this.forgetting = setTimeout(() => { if (this.address) this.drop(); }, KEPT_MS);
  }

  /** The viewer for this address, seen from now on: the one with its images, or one without a case. Nothing when there is none. */
  take(address) {
    const { frame } = this;
    if (!frame) return null;
    if (this.address && this.address !== address) {
      this.drop();
      return null;
    }
    const { shows = false, failed = true } = standing(frame);
    // one that has missed something would stay black: a new one asks again
    if (this.address && failed) {
      this.drop();
      return null;
    }
    const ahead = Boolean(this.address) && shows;
    if (!send(frame, address, false)) frame.contentWindow.location.replace(address);
    [this.frame, this.address] = [null, null];
    frame.inert = false;
    frame.removeAttribute('aria-hidden');
    return { frame, ahead };
  }

  drop() {
    this.frame?.remove();
    [this.frame, this.address] = [null, null];
  }
}
