// The words for states, the same on every page.

export const PRIORITY = {
  stat: { word: 'STAT', rank: 0 },
  urgent: { word: 'urgent', rank: 1 },
  routine: { word: 'routine', rank: 2 },
  unstated: { word: 'not stated', rank: 2 },
};

/** Level of a workitem: the three clinical ones, or "not stated". */
export const priority = (name) => PRIORITY[String(name ?? '').toLowerCase()] ?? PRIORITY.unstated;

const SEX = { M: 'male', F: 'female', O: 'other' };

export const sex = (code) => SEX[String(code ?? '').toUpperCase()] ?? 'sex not known';

const DELIVERY = {
  waiting: { word: 'on its way', tone: 'going' },
  'at-site': { word: 'at the site', tone: 'going' },
  delivered: { word: 'in the PACS', tone: 'good' },
  'not-taken': { word: 'this PACS takes no structured reports', tone: 'warn' },
  held: { word: 'held at the site', tone: 'warn' },
  rejected: { word: 'rejected', tone: 'bad' },
};

export const delivery = (state) => DELIVERY[state] ?? { word: state || 'signed', tone: 'going' };

const LANGUAGE = new Intl.DisplayNames(['en'], { type: 'language', fallback: 'code' });

export function language(code) {
  try {
    return code ? LANGUAGE.of(code) : '';
  } catch {
    return code;
  }
}
