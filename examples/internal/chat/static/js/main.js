// Puts the page together: the connection, the rooms, and the views that show them.

import '../keys.js';
import { Live } from '../live.js';
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

let name = initialName();
let known = new Set(); // topics that were subscribed to before: what is missed in them is a gap
const rooms = new Rooms();
const connection = new Live(socketURL, {
  onConnecting: changed,
  onOpen: opened,
  onClose({ code }) {
    status.lost(code);
    rooms.failed();
    feeds.lost();
    changed();
  },
  onRefused: refused,
});

/** socketURL is beside the page, so that it also works under a path prefix and behind a TLS proxy. */
function socketURL() {
  const url = new URL('ws', document.baseURI.replace(/^http/, 'ws'));
  url.search = new URLSearchParams({ user_id: name }).toString();
  return url;
}

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
    room.draw(feeds.subscribers(rooms.active));
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
    connection.subscribe(topic, (data) => said(topic, data));
    if (connection.state === 'open') {
      known.add(topic);
      rooms.note(topic, 'joined');
    }
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
  known.delete(topic);
  rooms.remove(topic);
  if (wasActive && rooms.active !== null) open(rooms.active);
  else if (wasActive) history.replaceState(null, '', location.pathname + location.search);
  draw();
}

function say(text) {
  const ref = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, '0')).join('');
  rooms.sending(rooms.active, name, text, ref);
  if (!connection.publish(rooms.active, JSON.stringify({ text, ref }))) rooms.failed({ ref });
  draw();
}

function again(topic, id) {
  const message = connection.state === 'open' && rooms.take(topic, id);
  if (message) say(message.text);
}

function readAll() {
  if (rooms.room) rooms.room.unread = 0;
  draw();
}

function rename(newName) {
  name = newName;
  rooms.failed();
  feeds.lost();
  connection.reconnect(); // the name belongs to the connection, so a new one is needed
  draw();
}

const explained = []; // topics of publications that the chat has refused, and the library has not yet

/**
 * refused shows what the server did not do: {"error":{...}} frames. For a publication that is refused, there are two: the chat says
 * why, with a ref, and then the library says that it is forbidden. All other frames are the library's alone.
 */
function refused({ code, message, topic, ref }) {
  if (ref) explained.push(topic);
  else if (code === 'forbidden' && explained.includes(topic)) return void explained.splice(explained.indexOf(topic), 1);
  toast(t('refused', topic && t('room', topic), t('refusal', code) ?? message), 'bad');
  if (ref) rooms.failed({ ref });
  else if (['busy', 'shutting_down'].includes(code)) rooms.failed({ topic }); // one of those that are on their way there
  const subscription = !ref && ['invalid_topic', 'forbidden', 'limit'].includes(code);
  if (subscription && topic) {
    if (code === 'forbidden') connection.unsubscribe(topic); // or it is asked for again with each connection
    drop(topic);
  }
  draw();
}

function said(topic, data) {
  rooms.said(topic, JSON.parse(data), isRead(topic));
  draw();
}

function opened() {
  explained.length = 0;
  status.opened();
  for (const topic of rooms.all.keys()) rooms.note(topic, known.has(topic) ? 'gap' : 'joined');
  known = new Set(rooms.all.keys());
  changed();
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
  connection.subscribe(EVENTS, (data) => { feeds.addEvent(JSON.parse(data)); draw(); });
  connection.subscribe(TABLE, (data) => { feeds.setTable(JSON.parse(data)); draw(); });
  const [asked, last] = [linked(), recall('active')]; // joining overwrites both
  for (const topic of Rooms.remembered() ?? [t('suggestions')[0]]) join(topic);
  if (asked) join(asked);
  else if (rooms.all.has(last)) open(last);
  view('chat');
  status.draw();
}

begin();
