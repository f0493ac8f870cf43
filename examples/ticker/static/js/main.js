// The page: a card for each symbol, of which those that can be seen are subscribed to.

import { Card } from './card.js';
import { onText } from '../keys.js';
import { Tank } from '../tank.js';
import { number, stored, t, toggleLanguage, translate } from './words.js';

const $ = (id) => document.getElementById(id);
const cards = new Map(); // by topic
const grid = document.querySelector('main');
let received = 0; // prices, since the rate was shown last

let slow = false; // whether to use the server's slow link, or its real one
let connection = null; // until the symbols are known
let asking = false; // an answer is awaited

function connect() {
  connection?.close();
  const mine = (connection = new Tank(new URL(slow ? 'slow' : 'ws', document.baseURI), {
    onState(state) {
      if (mine !== connection) return; // the one before has ended
      if (state === 'open') ask();
      // Prices from before the loss would delay the current ones, so a slow link begins anew.
      if (state === 'waiting' && slow) followAll();
      showState();
    },
  }));
  followAll();
  showState();
}

function showState() {
  const state = connection?.state ?? 'connecting';
  $('state').dataset.state = state;
  $('state').lastElementChild.textContent = t(state);
  grid.classList.toggle('stale', state !== 'open');
}

async function ask() {
  const mine = connection, askedAt = performance.now();
  asking = true;
  try {
    const { skipped } = await mine.request('skipped?');
    const behind = performance.now() - askedAt;
    if (mine !== connection) return;
    $('skipped').textContent = number(skipped);
    $('skipped').classList.toggle('late', skipped > 0);
    $('behind').textContent = (behind / 1000).toFixed(1);
    $('behind').classList.toggle('late', behind >= 500);
  } catch { // the connection has ended, and the next one asks
  } finally {
    if (mine === connection) asking = false;
  }
}
setInterval(() => {
  if (connection?.state === 'open' && !asking) ask();
}, 1000);

// Subscribing to what is visible, and to nothing while nobody looks at the page.

// follow subscribes from where the last subscription to the symbol ended. The server says what it has skipped because the page was
// behind. Nobody asks for that: it would make a slow link slower.
function follow(card) {
  card.subscription?.close();
  card.subscription = connection.subscribe(card.topic, {
    since: slow ? null : card.subscription?.position,
    gaps: slow ? 'report' : 'recover',
    onMessage({ data, seq }) {
      received++;
      card.add(Number(data), seq);
    },
    onJoin: ({ recovered }) => recovered || card.cut(),
    onGap: () => card.cut(),
  });
}

function followAll() {
  for (const card of cards.values()) if (card.visible) follow(card);
}

function want(card, visible) {
  if (card.visible === visible) return;
  card.visible = visible;
  if (visible) follow(card);
  else card.subscription.close();
}

// While the page is scrolled quickly, symbols come and go: subscriptions follow when it rests.
const REST = 100; // ms
let settling = 0;

function settle() {
  clearTimeout(settling);
  settling = setTimeout(() => {
    for (const card of cards.values()) want(card, card.inView && !document.hidden);
    showSubscribed();
  }, REST);
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target: { card }, isIntersecting } of entries) card.inView = isIntersecting;
  settle();
}, { rootMargin: '40px' });

document.addEventListener('visibilitychange', settle);

function showSubscribed() {
  $('subscribed').textContent = [...cards.values()].filter((card) => card.visible).length;
  $('all').textContent = t('of', cards.size);
}

function filter() {
  const part = $('filter').value.trim().toUpperCase();
  for (const { symbol, node } of cards.values()) node.hidden = !symbol.includes(part);
  $('nothing').hidden = cards.size === 0 || [...cards.values()].some(({ node }) => !node.hidden);
}

// Eyes need no 20 pictures a second of fifty prices; five are calmer, and leave the processor alone.
function draw() {
  const due = [...cards.values()].filter((card) => card.visible && card.inView && card.points.length > 0);
  for (const card of due) if (card.dirty) card.showPrice(); // all of them first, so that the browser lays the page out once
  const colours = { up: getComputedStyle($('up')).color, down: getComputedStyle($('down')).color };
  for (const card of due) card.drawLine(colours);
}
let frame = 0;
setInterval(() => {
  cancelAnimationFrame(frame); // none comes while the page is not looked at
  if (connection?.state === 'open') frame = requestAnimationFrame(draw); // else nobody knows what it costs
}, 200);

let shownAt = performance.now();
setInterval(() => {
  const now = performance.now();
  $('rate').textContent = number(Math.round((1000 * received) / (now - shownAt)));
  [received, shownAt] = [0, now];
}, 1000);

// The tools in the header.

function showTexts() {
  translate();
  $('filter').placeholder = $('filter').ariaLabel = t('filter');
  $('theme').title = $('theme').ariaLabel = t('theme');
  $('slow').title = t('slowTitle');
  showState();
  showSubscribed();
  draw(); // colours depend on the language
}

onText($('filter'), filter);
addEventListener('keydown', (e) => {
  if (e.key !== '/' || e.target === $('filter')) return;
  e.preventDefault();
  $('filter').focus();
});
$('slow').onclick = () => {
  slow = !slow;
  $('slow').ariaChecked = String(slow);
  if (connection) connect();
};
$('language').onclick = () => {
  toggleLanguage();
  showTexts();
};
$('theme').onclick = () => {
  const { dataset } = document.documentElement;
  dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark';
  stored.set('theme', dataset.theme);
};
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ['data-theme'] });

/** symbols asks until it is told: the server may be on its way back. */
async function symbols() {
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch('symbols');
      if (answer.ok) return await answer.json();
    } catch { /* no answer, or half of one */ }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 1000 * 2 ** attempt)));
  }
}

showTexts();
for (const symbol of await symbols()) {
  const card = new Card(symbol);
  cards.set(card.topic, card);
}
grid.append(...[...cards.values()].map(({ node }) => node));
filter(); // a browser may have kept what was typed
showSubscribed();
connect();
for (const { node } of cards.values()) watcher.observe(node);
