// Short-lived notices, such as what the server refused.

import { $, el, icon } from './dom.js';
import { t } from './i18n.js';

const SHOWN = 6_000; // ms
const MOST = 3;

export function toast(text, kind = 'info') {
  const close = el('button', { class: 'icon-button', type: 'button', 'aria-label': t('dismiss') }, icon('x'));
  const node = el('div', { class: `toast ${kind}`, 'data-testid': 'toast' }, el('span', { dir: 'auto' }, text), close);
  close.addEventListener('click', () => node.remove());
  setTimeout(() => node.remove(), SHOWN);
  const box = $('toasts');
  box.append(node);
  while (box.childElementCount > MOST) box.firstElementChild.remove();
}
