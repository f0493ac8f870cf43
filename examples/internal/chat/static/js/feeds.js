// The right of the page: all topics with their rates, and who did what. Both are topics themselves, published by the
// server; this page subscribes to them like to any other.

import { $, avatar, el, reconcile, setText, sparkline, sparklineBox, userName } from './dom.js';
import { clock, fullTime, t } from './i18n.js';

const MOST_EVENTS = 100;
const SLOTS = 24; // values in a sparkline

/** feedsView draws the feeds. actions: join(topic). */
export function feedsView(rooms, actions) {
  let table = null;
  let events = [];
  let serial = 0;
  const rates = new Map(); // topic -> last rates

  const rate = (r) => (r === 0 ? '0' : r < 10 ? r.toFixed(1) : String(Math.round(r)));

  function createRow({ name }) {
    const join = el('button', { class: 'topic-join', type: 'button', 'data-testid': 'topic-join' },
      el('span', { class: 'hash', 'aria-hidden': 'true' }, '#'), el('bdi'));
    const row = el('tr', { 'data-topic': name, 'data-testid': 'topic-row' },
      el('th', { scope: 'row' }, join), el('td', { class: 'number' }), el('td', { class: 'number rate' }, sparklineBox(), el('span')));
    row.addEventListener('click', () => actions.join(name));
    return row;
  }

  function updateRow(row, r) {
    const [head, subscribers, speed] = row.children;
    const member = rooms.all.has(r.name);
    row.classList.toggle('member', member);
    setText(head.querySelector('bdi'), t('room', r.name));
    row.classList.toggle('busy', r.rate > 0);
    head.firstChild.setAttribute('aria-label', t(member ? 'openTopic' : 'joinTopic', t('room', r.name)));
    head.firstChild.title = r.name;
    setText(subscribers, String(r.subscribers));
    sparkline(speed.firstChild, rates.get(r.name));
    setText(speed.lastChild, rate(r.rate));
  }

  function createEvent(e) {
    return el('li', { class: `event ${e.event}`, 'data-testid': 'event', 'data-event': e.event },
      avatar(e.user),
      el('span', { class: 'event-text' }, userName(e.user), el('span', { class: 'did' }), e.topic && topicChip(e.topic)),
      el('time', { datetime: e.time.toISOString() }));
  }

  function topicChip(topic) {
    const chip = el('button', { class: 'topic-chip', type: 'button', title: topic }, el('bdi'));
    chip.addEventListener('click', () => actions.join(topic));
    return chip;
  }

  function updateEvent(node, e) {
    setText(node.querySelector('.did'), t('event', e.event));
    if (e.topic) setText(node.querySelector('.topic-chip bdi'), t('room', e.topic));
    const time = node.querySelector('time');
    time.title = e.reason ? `${fullTime(e.time)} · ${e.reason}` : fullTime(e.time);
    setText(time, clock(e.time));
  }

  function remember(list) {
    const names = new Set(list.map((r) => r.name));
    for (const name of rates.keys()) if (!names.has(name)) rates.delete(name);
    for (const r of list) rates.set(r.name, [...(rates.get(r.name) ?? Array(SLOTS).fill(0)), r.rate].slice(-SLOTS));
  }

  function draw() {
    const list = table?.topics ?? [];
    reconcile($('topic-rows'), list, (r) => r.name, createRow, updateRow);
    $('topic-table').hidden = list.length === 0;
    $('topic-none').hidden = list.length > 0;
    setText($('topic-none'), t(table ? 'quietTable' : 'noTable'));
    setText($('people'), table ? t('people', table.clients) : '');
    const more = (table?.total ?? 0) - list.length;
    setText($('topic-more'), more > 0 ? t('moreTopics', more) : '');
    reconcile($('events'), events, (e) => e.id, createEvent, updateEvent);
    $('event-none').hidden = events.length > 0;
  }

  return {
    draw,
    setTable(data) { table = data; remember(data.topics); },
    addEvent(data) {
      events = [{ ...data, time: new Date(data.time), id: String(++serial) }, ...events].slice(0, MOST_EVENTS);
    },
    /** lost empties what is only true while connected. */
    lost() { table = null; rates.clear(); },
  };
}
