// Puts the page together: the connection, the rooms, and the views that show them.

import '../keys.js';
import { Connection } from './connection.js';
import { $, setText } from './dom.js';
import { feedsView } from './feeds.js';
import { currentLanguage, roomOf, t, toggleLanguage, translatePage } from './i18n.js';
import { initialName, nameView } from './name.js';
import { recall, remember } from './prefs.js';
import { roomView } from './room.js';
import { Rooms } from './rooms.js';
import { sidebar } from './sidebar.js';
import { statusView } from './status.js';
import { toast } from './toast.js';

const EVENTS = 'chat:events';
const TABLE = 'chat:topics'; // how many are where, once a second
const HISTORY = 200; // messages; what the server keeps of a topic

let name = initialName();
const rooms = new Rooms();
const reasons = new Map(); // of publications that are refused, by ref
const connection = new Connection(name, {
  onState(state, { code }) {
    if (state === 'open') status.opened();
    else {
      status.lost(code);
      feeds.lost();
    }
    changed();
  },
  // The answer to a publication that is refused does not say why: this comes before it.
  onMessage({ error }) { if (error?.ref) reasons.set(error.ref, error.code); },
});
const people = nameView(() => name, rename);
const status = statusView(connection);
const list = sidebar(rooms, { open, leave, join });
const room = roomView(rooms, connection, { say, again, leave, readAll });
const feeds = feedsView(rooms, { join });

// Drawing is put off a little, so that a burst of messages is drawn once. A timer also runs in a hidden page.
let drawing = 0;
function draw() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    if (rooms.room && isRead(rooms.active)) rooms.room.unread = 0;
    list.draw();
    room.draw();
    feeds.draw();
    people.draw();
    drawFrame();
  }, 16);
}

function drawFrame() {
  const { unread } = rooms;
  document.title = (unread ? `(${unread}) ` : '') + t('title');
  $('tab-unread').hidden = unread === 0;
  setText($('tab-unread'), unread > 99 ? '99+' : String(unread));
  setText($('language'), t('language'));
  $('language').setAttribute('aria-label', t('languageLabel'));
  $('language').lang = currentLanguage() === 'en' ? 'zh-CN' : 'en';
  const label = t(document.documentElement.dataset.theme === 'dark' ? 'themeToLight' : 'themeToDark');
  $('theme').setAttribute('aria-label', label);
  $('theme').title = label;
}

const wide = matchMedia('(min-width: 760px)');
const chatIsShown = () => $('app').dataset.view === 'chat' || (wide.matches && $('app').dataset.view === 'topics');
const isRead = (topic) => topic === rooms.active && !document.hidden && chatIsShown() && room.atEnd();

function view(name) {
  $('app').dataset.view = name;
  for (const tab of document.querySelectorAll('[data-goto]')) {
    tab.setAttribute('aria-pressed', String(tab.dataset.goto === name));
  }
  draw();
}

function open(topic) {
  rooms.active = topic;
  remember('active', topic);
  if (rooms.room) rooms.room.unread = 0;
  history.replaceState(null, '', `#${encodeURIComponent(topic)}`);
  view('chat');
  if (wide.matches) setTimeout(room.focus, 20);
}

/** join opens a topic, and subscribes to it if need be. It returns whether the topic can be one. */
function join(text) {
  const topic = roomOf(text.trim());
  if (!topic) return false;
  if (new TextEncoder().encode(topic).length > 255) {
    refused({ code: 'invalid_topic' });
    return false;
  }
  if (rooms.add(topic)) {
    connection.subscribe(topic, {
      last: HISTORY,
      presence: true,
      onPresence: (present) => { rooms.all.get(topic).present = present; draw(); },
      onJoin: (join) => joined(topic, join),
      onMessage: (message) => { rooms.said(topic, message, name, isRead(topic)); draw(); },
      onGap: () => { rooms.lacks(topic); draw(); },
      onEnd: (error) => { refused(error, topic); drop(topic); },
    });
  }
  open(topic);
  return true;
}

function leave(topic) {
  if (!topic) return;
  connection.unsubscribe(topic);
  drop(topic);
}

function drop(topic) {
  const wasActive = topic === rooms.active;
  rooms.remove(topic);
  if (wasActive && rooms.active !== null) open(rooms.active);
  else if (wasActive) history.replaceState(null, '', location.pathname + location.search);
  draw();
}

/** joined is called for each connection. Whether a message that waits for it has arrived on the last one, the server knows by its key. */
function joined(topic, join) {
  for (const message of rooms.unsent(topic)) {
    if (join.recovered || !message.doubtful) publish(topic, message);
    else message.state = 'failed'; // the key may be forgotten, and the message would be there twice
  }
  rooms.joined(topic, join);
  draw();
}

function say(text) {
  const ref = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');
  publish(rooms.active, rooms.sending(rooms.active, name, text, ref));
}

function again(topic, id) {
  const message = connection.state === 'open' && rooms.again(topic, id);
  if (message) publish(topic, message);
}

async function publish(topic, message) {
  const { text, ref, key } = message;
  message.state = 'sending';
  draw();
  try {
    await connection.publish(topic, { text, ref }, { key });
    message.state = undefined;
  } catch (error) {
    if (!message.place) failed(topic, message, error);
  }
  draw();
}

/** failed decides what becomes of a message without a confirmation. If it is published again, then with its key: so it is there once. */
function failed(topic, message, { code, message: text, key }) {
  message.key = key;
  message.doubtful ||= code === 'lost' || code === 'busy'; // else it is known not to have been published
  if (['lost', 'offline', 'shutting_down'].includes(code)) {
    message.state = 'waiting';
    return;
  }
  message.state = 'failed';
  refused({ code: reasons.get(message.ref) ?? code, message: text }, topic);
  reasons.delete(message.ref);
}

function readAll() {
  if (rooms.room) rooms.room.unread = 0;
  draw();
}

function rename(newName) {
  name = newName;
  connection.rename(name);
}

function refused({ code, message }, topic) {
  toast(t('refused', topic && t('room', topic), t('refusal', code) ?? message), 'bad');
}

function changed() {
  status.draw();
  draw();
}

function retranslate() {
  translatePage();
  status.draw();
  draw();
}

$('language').addEventListener('click', () => { toggleLanguage(); retranslate(); });
$('theme').addEventListener('click', () => {
  const { dataset } = document.documentElement;
  dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark';
  remember('theme', dataset.theme);
  drawFrame();
});
for (const tab of document.querySelectorAll('[data-goto]')) tab.addEventListener('click', () => view(tab.dataset.goto));
document.addEventListener('visibilitychange', draw);
wide.addEventListener('change', draw);
document.addEventListener('keydown', (e) => {
  // Alt with an arrow goes through one's topics.
  if (e.isComposing || !e.altKey || (e.key !== 'ArrowUp' && e.key !== 'ArrowDown') || rooms.all.size === 0) return;
  e.preventDefault();
  const topics = [...rooms.all.keys()];
  const step = e.key === 'ArrowDown' ? 1 : topics.length - 1;
  open(topics[(topics.indexOf(rooms.active) + step) % topics.length]);
});

$('share').hidden = !navigator.clipboard; // only there on https and localhost
$('share').addEventListener('click', async () => {
  try {
    const link = new URL(`#${encodeURIComponent(rooms.active)}`, document.baseURI);
    link.search = '';
    await navigator.clipboard.writeText(link.href);
    toast(t('copied'));
  } catch { /* the browser said no, and told its user */ }
});

/** linked is the topic in the address, as in a shared link. */
function linked() {
  try { return decodeURIComponent(location.hash.slice(1)).trim(); } catch { return ''; }
}
addEventListener('hashchange', () => { if (linked() && linked() !== rooms.active) join(linked()); });

function begin() {
  translatePage();
  connection.subscribe(EVENTS, { gaps: 'ignore', onMessage({ data }) { feeds.addEvent(data); draw(); } });
  connection.subscribe(TABLE, { gaps: 'ignore', onMessage({ data }) { feeds.setTable(data); draw(); } });
  const [asked, last] = [linked(), recall('active')]; // joining overwrites both
  for (const topic of Rooms.remembered() ?? [t('suggestions')[0]]) join(topic);
  if (asked) join(asked);
  else if (rooms.all.has(last)) open(last);
  view('chat');
  status.draw();
}

begin();
