import { setText } from './dom.js';
import { recall, remember } from './prefs.js';
import { words } from './words.js';

let language = recall('lang') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
if (!words[language]) language = 'en';

/** t looks a text up: t('online'), t('unread', 3), t('event', 'connect'). */
export function t(key, ...values) {
  const entry = words[language][key];
  if (typeof entry === 'function') return entry(...values);
  if (values.length > 0) return entry[values[0]];
  return entry;
}

/** roomOf is the topic that somebody means who writes its name in one of the page's languages. */
export function roomOf(name) {
  for (const { rooms } of Object.values(words)) {
    for (const [topic, shown] of Object.entries(rooms)) if (name === shown) return topic;
  }
  return name;
}

export const currentLanguage = () => language;

export function toggleLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  remember('lang', language);
}

/** translatePage fills in the texts of index.html: data-i18n for content, data-i18n-<attribute> for attributes. */
export function translatePage() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const node of document.querySelectorAll('[data-i18n]')) setText(node, t(node.dataset.i18n));
  for (const [suffix, attribute] of [['Label', 'aria-label'], ['Title', 'title'], ['Placeholder', 'placeholder']]) {
    for (const node of document.querySelectorAll(`[data-i18n-${suffix.toLowerCase()}]`)) {
      node.setAttribute(attribute, t(node.dataset[`i18n${suffix}`]));
    }
  }
}

/** clock is the time of a day, with the day if that is not today. */
export const clock = (time) => new Intl.DateTimeFormat(document.documentElement.lang, {
  ...(time.toDateString() !== new Date().toDateString() && { month: 'short', day: 'numeric' }),
  hour: '2-digit', minute: '2-digit', hourCycle: 'h23',
}).format(time);

export const fullTime = (time) =>
  new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'medium' }).format(time);

/** randomName is what a newcomer is called. */
export function randomName() {
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  return t('name', pick(t('adjectives')), pick(t('animals')));
}
