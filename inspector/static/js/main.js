// Where one is, is in the address behind #, so that going back, reloading and sharing a link work.

import { setAttribute, setText } from './dom.js';
import { duration } from './format.js';
import { onAnswer, poll } from './poll.js';
import { remember } from './prefs.js';
import { client, clients, overview, topic } from './views.js';
import { t, toggleLanguage, translatePage } from './words.js';

const views = { '': overview, clients, topic, client };
const content = document.getElementById('content');
const state = document.getElementById('state');
let current;

// How the instance fares is shown in the head of every view, so it is asked for all the while.
const health = {
  latest: null,
  listener: null,
  listen(listener) {
    this.listener = listener;
    if (this.latest) listener(this.latest);
  },
};
poll(() => 'api/health', 1000, (now) => {
  health.latest = now;
  health.listener?.(now);
}, () => {});

onAnswer((silence) => {
  document.body.classList.toggle('away', silence > 0);
  const now = health.latest;
  if (silence > 0) {
    setAttribute(state, 'data-state', 'away');
    setText(state.lastElementChild, t('away', silence));
  } else if (now) {
    setAttribute(state, 'data-state', now.state);
    const up = Math.floor(now.stats.uptime / 1e9);
    setText(state.lastElementChild, now.state === 'running' ? t('up', duration(up)) : t('state', now.state));
  }
});

function place() {
  const [name, query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return { name: Object.hasOwn(views, name) ? name : '', params: new URLSearchParams(query) };
}

let shown = {};

/** show shows the place in the address. Where the view stays, so do focus and scroll position, and nothing jumps. */
async function show() {
  const { name, params } = place();
  const same = shown.name === name && shown.subject === subject(params);
  shown = { name, subject: subject(params) };
  current?.stop();
  health.listener = null;
  const next = current = views[name](params, (to) => { location.hash = `#/${name}${to.size ? `?${to}` : ''}`; }, health);
  document.title = [t('title'), params.get('name') ?? (name === 'clients' ? t('clients') : '')].filter(Boolean).join(' · ');
  for (const a of document.querySelectorAll('nav a')) {
    const here = a.dataset.view === (name === 'clients' || name === 'client' ? 'clients' : 'topics');
    setAttribute(a, 'aria-current', here ? 'page' : null);
  }
  if (!same) {
    content.replaceChildren(...next.nodes);
    scrollTo(0, 0);
    return;
  }
  await Promise.race([next.ready, new Promise((resolve) => { setTimeout(resolve, 500); })]);
  await composed();
  if (current === next) exchange(next.nodes);
}

/** composed waits until no input method composes in the view: a field that is exchanged loses what is being composed. */
async function composed() {
  for (let field; (field = content.querySelector('[data-composing]'));) {
    await new Promise((resolve) => { field.addEventListener('compositionend', resolve, { once: true }); });
  }
}

/** exchange puts nodes in the place of those of the same view: whoever types in the filter does not notice. */
function exchange(nodes) {
  const old = content.contains(document.activeElement) ? document.activeElement : null;
  const [id, from, to] = [old?.dataset.testid, old?.selectionStart, old?.selectionEnd];
  const before = content.querySelector('input');
  const typed = before && before.value !== before.defaultValue ? before.value : null; // and not asked for yet
  const scroll = scrollY;
  content.replaceChildren(...nodes);
  scrollTo(0, scroll);
  const after = content.querySelector('input');
  if (after && typed !== null) {
    after.value = typed;
    after.dispatchEvent(new Event('input'));
  }
  const again = id && content.querySelector(`[data-testid="${CSS.escape(id)}"]`);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (again.tagName === 'INPUT') again.setSelectionRange(from, to);
}

const subject = (params) => params.get('name') ?? params.get('id') ?? '';

addEventListener('hashchange', show);
addEventListener('keydown', (e) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
  if (e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey && current?.focusFilter) {
    e.preventDefault();
    current.focusFilter();
  }
});
document.getElementById('language').addEventListener('click', () => {
  toggleLanguage();
  translatePage();
  show();
});
document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === 'dark' ? 'light' : 'dark';
  remember('theme', root.dataset.theme);
});
translatePage();
show();
