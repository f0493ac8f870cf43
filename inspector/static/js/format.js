// Figures as people read them.

import { t } from './words.js';

const formats = new Map();

function format(value, options) {
  const key = document.documentElement.lang + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(document.documentElement.lang, options));
  return formats.get(key).format(value);
}

export const count = (n) => format(n, { maximumFractionDigits: 0 });

/** short is a number in little space, for headlines. */
export const short = (n) => (n < 100_000 ? rate(n) : format(n, { notation: 'compact', maximumSignificantDigits: 3 }));

/** rate has a digit behind the point while that says something. */
export const rate = (n) => format(n, { maximumFractionDigits: n > 0 && n < 10 ? 1 : 0 });

const powers = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(n) {
  let i = 0;
  while (n >= 1024 && i < powers.length - 1) {
    n /= 1024;
    i++;
  }
  return `${format(n, { maximumFractionDigits: i > 0 && n < 10 ? 1 : 0 })} ${powers[i]}`;
}

/** duration is one of seconds, in one or two units. */
export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s > 0 && s < 1) return `${format(s * 1000, { maximumSignificantDigits: 2 })} ${t('units', 'ms')}`;
  if (s < 10) return `${format(s, { maximumFractionDigits: Number.isInteger(s) ? 0 : 1 })} ${t('units', 's')}`;
  if (s < 60) return `${Math.floor(s)} ${t('units', 's')}`;
  for (const [unit, size, smaller, part] of [['d', 86400, 'h', 3600], ['h', 3600, 'min', 60], ['min', 60, 's', 1]]) {
    if (s >= size) {
      const rest = Math.floor((s % size) / part);
      return `${Math.floor(s / size)} ${t('units', unit)}${rest ? ` ${rest} ${t('units', smaller)}` : ''}`;
    }
  }
}

/** since is how long ago a time was, in whole seconds, seen from another one: both as the server writes them. */
export const since = (time, now) => duration(Math.floor(Math.max(0, Date.parse(now) - Date.parse(time)) / 1000));

export const nanoseconds = (n) => (n > 0 ? duration(n / 1e9) : t('unknown'));

export const isZeroTime = (time) => time.startsWith('0001-');
