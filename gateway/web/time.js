// Times as people read them: how long, and what the clock says at the site. "Now" is the gateway's, not this computer's.

let skew = 0;

/** Takes the gateway's clock from one of its answers. */
export function setNow(text) {
  const at = Date.parse(text);
  if (Number.isFinite(at)) skew = at - Date.now();
}

export const now = () => Date.now() + skew;

/** "now", "4 min", "2 h 05", "3 d" since then. */
export function since(text) {
  const at = Date.parse(text);
  if (!Number.isFinite(at)) return '';
  const minutes = Math.floor(Math.max(0, now() - at) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')}`;
  return `${Math.floor(minutes / 1440)} days`;
}

const formats = new Map();

function format(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!formats.has(key)) {
    try {
      formats.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: zone || undefined, ...options }));
    } catch {
      formats.set(key, new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', ...options }));
    }
  }
  return formats.get(key);
}

/** "12:31" in that zone; without one in this computer's. */
export const clock = (at, zone) => format(zone, { hour: '2-digit', minute: '2-digit' }).format(typeof at === 'string' ? Date.parse(at) : at);

/** "21 Nov, 12:31" when it was not today in that zone, else "12:31". */
export function moment(text, zone) {
  const at = Date.parse(text);
  if (!Number.isFinite(at)) return '';
  const day = format(zone, { day: 'numeric', month: 'short' });
  const that = day.format(at);
  return that === day.format(now()) ? clock(at, zone) : `${that}, ${clock(at, zone)}`;
}

/** The zone's own short name at this moment ("EET"), or its offset. */
export function zoneName(zone, offset) {
  const part = format(zone, { timeZoneName: 'short' }).formatToParts(now()).find((p) => p.type === 'timeZoneName');
  return part?.value || (offset ? `UTC${offset}` : '');
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** A DICOM or ISO date as "21 Nov 2026"; as it came when it is no date. */
export function day(text) {
  const parts = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(text ?? '');
  const month = parts && MONTHS[Number(parts[2]) - 1];
  return month ? `${Number(parts[3])} ${month} ${parts[1]}` : (text ?? '');
}

/** A DICOM or ISO time as "09:28". */
export function hour(text) {
  const parts = /^(\d{2}):?(\d{2})/.exec(text ?? '');
  return parts ? `${parts[1]}:${parts[2]}` : '';
}

/** DICOM's age string as words: "061Y" is "61 years", "005D" "5 days". */
export function age(text) {
  const parts = /^(\d+)\s*([DWMY])$/.exec(String(text ?? '').trim());
  if (!parts) return text ? String(text) : 'age not known';
  const number = Number(parts[1]);
  const word = { D: 'day', W: 'week', M: 'month', Y: 'year' }[parts[2]];
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

/** Calls back now and then every so many seconds, until the returned function is called. */
export function every(seconds, act) {
  act();
  const timer = setInterval(act, seconds * 1000);
  return () => clearInterval(timer);
}
