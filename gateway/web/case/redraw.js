// A viewport that stays black although its image has come. The viewer sometimes clears its canvas for a new size and does not draw
// again; it draws when the size changes once more. A picture that is black by itself is not harmed by that.

const EVERY_MS = 1_000;
const LOOKS = 60;
/** So many looks in a row at a black canvas are one too many. */
const PATIENCE = 2;
/** So many looks in a row at a picture are enough. */
const ENOUGH = 5;
const SIDE = 32;

/** Whether anything but black is on the canvas. */
function shows(canvas) {
  const small = new OffscreenCanvas(SIDE, SIDE).getContext('2d', { willReadFrequently: true });
  small.drawImage(canvas, 0, 0, SIDE, SIDE);
  const { data } = small.getImageData(0, 0, SIDE, SIDE);
  for (let at = 0; at < data.length; at += 4) if (data[at] + data[at + 1] + data[at + 2] > 24) return true;
  return false;
}

/** Looks after the viewer in `frame` for a minute. */
export function redraw(frame) {
  let [looks, black, seen] = [0, 0, 0];
  const timer = setInterval(() => {
    looks += 1;
    if (!frame.isConnected || looks > LOOKS || seen >= ENOUGH) {
      clearInterval(timer);
      return;
    }
    let canvas = null;
    try {
      canvas = frame.contentDocument?.querySelector('canvas.cornerstone-canvas');
    } catch {
      return;
    }
    if (!canvas?.width) return;
    if (shows(canvas)) {
      black = 0;
      seen += 1;
      return;
    }
    seen = 0;
    black += 1;
    if (black <= PATIENCE) return;
    black = 0;
    frame.style.width = frame.style.width ? '' : 'calc(100% - 2px)';
  }, EVERY_MS);
}
