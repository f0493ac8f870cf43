// The middle of the page: what is said in the active topic, and the box to say something.

import { $, avatar, el, reconcile, setText, userName } from './dom.js';
import { clock, fullTime, t } from './i18n.js';

const LONGEST = 1000; // characters; the server's limit
const WARN = 120; // characters left when the counter shows
const GROUP = 3 * 60_000; // ms in which messages of one person stand together
const NEAR = 60; // px from the end that count as being at the end

const length = (text) => [...text].length;

/** roomView draws the active room. actions: say(text), again(topic, id), leave(topic), readAll(). */
export function roomView(rooms, connection, actions) {
  const log = $('log');
  const box = $('composer-text');
  let shown = null; // the topic that was drawn last

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };

  function grow() {
    box.style.height = 'auto';
    box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
  }

  function drawComposer() {
    const left = LONGEST - length(box.value.trim());
    const online = connection.state === 'open';
    $('send').disabled = !online || left < 0 || box.value.trim() === '';
    const hint = $('composer-hint');
    setText(hint, left < 0 ? t('tooLong', -left) : !online ? t('offlineHint') : left <= WARN ? t('left', left) : '');
    hint.classList.toggle('bad', left < 0);
  }

  function submit() {
    drawComposer();
    if ($('send').disabled) return;
    toEnd(); // who says something wants to see it
    actions.say(box.value.trim());
    box.value = '';
    rooms.room.draft = '';
    grow();
    drawComposer();
    box.focus();
  }

  box.addEventListener('input', () => {
    if (rooms.room) rooms.room.draft = box.value;
    grow();
    drawComposer();
  });
  box.addEventListener('keydown', (e) => {
    // Enter also picks a candidate in an input method, as for Chinese: that is not meant for us.
    if (e.key !== 'Enter' || e.shiftKey || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    submit();
  });
  $('composer').addEventListener('submit', (e) => { e.preventDefault(); submit(); });
  $('leave').addEventListener('click', () => actions.leave(rooms.active));
  $('jump').addEventListener('click', () => { toEnd(); actions.readAll(); box.focus(); });
  log.addEventListener('scroll', () => {
    if (!atEnd()) return;
    $('jump').hidden = true;
    if (rooms.room?.unread) actions.readAll();
  });

  function chatLine(m) {
    const again = el('button', { class: 'again', type: 'button', 'data-testid': 'again' });
    again.addEventListener('click', () => actions.again(rooms.active, m.id));
    return el('li', { class: 'line', 'data-testid': 'message', 'data-from': m.from },
      avatar(m.from),
      el('div', { class: 'said' },
        el('div', { class: 'who' }, userName(m.from), el('span', { class: 'you' }), el('time')),
        el('p', { class: 'text', dir: 'auto' }, m.text),
        el('div', { class: 'fate' }, el('span'), again)));
  }

  const create = (m) => (m.kind === 'chat'
    ? chatLine(m)
    : el('li', { class: `note ${m.text}`, 'data-testid': 'note' }, el('span')));

  function update(node, m, i) {
    if (m.kind === 'note') {
      setText(node.firstChild, t(m.text));
      return;
    }
    const before = rooms.room.messages[i - 1];
    const joins = before?.kind === 'chat' && before.from === m.from && before.own === m.own && m.time - before.time < GROUP;
    node.classList.toggle('joins', joins);
    node.classList.toggle('own', m.own);
    node.classList.toggle('sending', m.state === 'sending' || m.state === 'waiting');
    node.classList.toggle('failed', m.state === 'failed');
    const time = node.querySelector('time');
    time.dateTime = m.time.toISOString();
    time.title = fullTime(m.time);
    setText(time, clock(m.time));
    setText(node.querySelector('.you'), m.own ? t('you') : '');
    const [fate, again] = node.querySelector('.fate').children;
    const words = { waiting: 'waits', failed: m.doubtful ? 'unconfirmed' : 'notSent' }[m.state];
    setText(fate, words ? t(words) : '');
    setText(again, t('again'));
    fate.parentNode.hidden = !words;
    again.hidden = m.state !== 'failed';
  }

  function drawHead(room) {
    setText($('room-title'), t('room', room.topic));
    $('room-title').title = room.topic;
    const { n, users } = connection.state === 'open' && room.present || {};
    const names = [...users?.keys() ?? []].sort();
    setText($('room-people'), n ? t('present', n, names) : '');
    $('room-people').title = names.join(', ');
    $('leave').setAttribute('aria-label', t('leave', t('room', room.topic)));
    box.setAttribute('aria-label', t('composer', t('room', room.topic)));
    box.placeholder = t('composerShort');
  }

  function draw() {
    const room = rooms.room;
    $('room').classList.toggle('nowhere', !room);
    $('nowhere').hidden = !!room;
    for (const id of ['room-head', 'log-box', 'composer']) $(id).hidden = !room;
    if (!room) {
      shown = null;
      return;
    }
    const moved = shown !== room.topic;
    const stick = moved || atEnd();
    if (moved) {
      log.replaceChildren();
      box.value = room.draft;
      shown = room.topic;
      grow();
    }
    drawHead(room);
    const before = log.childElementCount && log.lastElementChild;
    reconcile(log, room.messages, (m) => m.id, create, update);
    $('room-empty').hidden = room.messages.some((m) => m.kind === 'chat');
    if (stick) toEnd();
    if (stick) $('jump').hidden = true;
    else if (log.lastElementChild !== before) $('jump').hidden = false;
    drawComposer();
  }

  return { draw, atEnd, focus: () => box.focus() };
}
