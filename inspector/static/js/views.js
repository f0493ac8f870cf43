// The views: an overview with the table of topics, one topic, the table of clients, one client. Each is made of where it is
// (params) and how to go elsewhere, and returns {nodes, stop, ...}.

import { el, reconcile, setText } from './dom.js';
import { bytes, count, isZeroTime, nanoseconds, rate, since } from './format.js';
import { healthView } from './health.js';
import { poll } from './poll.js';
import { tableView } from './table.js';
import { t } from './words.js';

const link = (view, params) => `#/${view}?${new URLSearchParams(params)}`;
export const topicLink = (name) => link('topic', { name });
const clientLink = (client) => link('client', { id: client.id });

const topicColumns = () => [
  { key: 'name', title: t('name'), kind: 'text', id: (r) => r.name, value: (r) => r.name, link: (r) => topicLink(r.name), title_: (r) => r.name },
  { key: 'subscribers', title: t('subscribers'), value: (r) => (r.lingering ? t('lingers') : count(r.subscribers)) },
  { key: 'rate', title: t('rate') + ' ' + t('perSecond'), value: (r) => rate(r.rate) },
  { key: 'delivered', title: t('delivered'), value: (r) => count(r.delivered) },
  { key: 'dropped', title: t('dropped'), kind: 'alarm', value: (r) => count(r.dropped) },
  { key: 'kept', title: t('kept'), value: (r) => count(r.kept), title_: (r) => bytes(r.kept_bytes) },
  { key: 'mailbox_depth', title: t('mailbox'), value: (r) => count(r.mailbox_depth) },
  { key: 'restarts', title: t('restarts'), kind: 'alarm', value: (r) => count(r.restarts) },
  { key: 'created_at', title: t('age'), value: (r, now) => since(r.created_at, now) },
];

const clientColumns = () => [
  { key: 'user_id', title: t('user'), kind: 'text', id: (r) => r.id, value: (r) => r.user_id, link: clientLink, title_: (r) => `${r.user_id}\n${r.id}` },
  { key: 'protocol', title: t('protocol'), kind: 'text', value: (r) => r.protocol },
  { key: 'remote_addr', title: t('address'), kind: 'text', wide: true, value: (r) => r.remote_addr, title_: (r) => r.remote_addr },
  { key: 'subscriptions', title: t('subscriptions'), value: (r) => count(r.subscriptions) },
  { key: 'outbox_bytes', title: t('outbox'), value: (r) => (r.outbox_bytes ? bytes(r.outbox_bytes) : '0') },
  { key: 'dropped', title: t('dropped'), kind: 'alarm', value: (r) => count(r.dropped) },
  { key: 'rtt', title: t('rtt'), value: (r) => nanoseconds(r.rtt) },
  { key: 'last_seen', title: t('lastSeen'), value: (r, now) => t('ago', since(r.last_seen, now)) },
  { key: 'connected_at', title: t('connected'), value: (r, now) => since(r.connected_at, now) },
];

// Of a topic's subscribers. The lag stands where the number of subscriptions stands among all clients.
const memberColumns = () => clientColumns().map((c) => (c.key === 'subscriptions'
  ? { key: 'lag', title: t('lag'), kind: 'alarm', value: (r) => count(r.lag) } : c));

/** noteOf returns what is to be known of an instance beside its figures. */
function noteOf({ state, stats: { broker } }) {
  if (state === 'new' || state === 'closed') return t(`${state}Note`);
  if (broker.down) return t('brokerDown');
  return broker.gaps > 0 ? t('brokerGaps', count(broker.gaps)) : '';
}

/** overview is how the instance fares, and its topics. onHealth gets what is known of that. */
export function overview(params, go, health) {
  const view = healthView();
  const note = el('p', { class: 'panel note', hidden: '', 'data-testid': 'note' });
  const table = tableView(topicColumns(), {
    path: 'api/topics', title: t('topics'), sort: '-subscribers', filter: t('filterTopics'), none: t('noTopics'),
  }, params, go);
  const update = (now) => {
    view.update(now);
    const says = noteOf(now);
    note.hidden = says === '';
    note.classList.toggle('loud', says === t('brokerDown'));
    setText(note, says);
  };
  health.listen(update);
  return { nodes: [note, ...view.nodes, table.node], ready: table.ready, stop: table.stop, focusFilter: table.focusFilter };
}

export function clients(params, go) {
  const table = tableView(clientColumns(), {
    path: 'api/clients', title: t('clients'), sort: '-outbox_bytes', filter: t('filterClients'), none: t('noClients'),
  }, params, go);
  return { nodes: [table.node], ready: table.ready, stop: table.stop, focusFilter: table.focusFilter };
}

/** facts is a list of figures; update takes [title, value, class] of each. */
function facts() {
  const node = el('dl', { class: 'panel facts', 'data-testid': 'facts' });
  return {
    node,
    update(list) {
      reconcile(node, list, ([title]) => title, ([title]) => el('div', { class: 'fact' }, el('dt', {}, title), el('dd')), (div, [, value, kind]) => {
        setText(div.lastChild, value);
        div.lastChild.className = kind ?? '';
      });
    },
  };
}

const alarm = (n) => (n > 0 ? 'loud' : '');

function title(kind, name, href) {
  return el('div', { class: 'title' }, el('a', { class: 'crumb', href }, `‹ ${kind}`), el('h1', { 'data-testid': 'title' }, el('bdi', {}, name)));
}

export function topic(params, go) {
  const name = params.get('name') ?? '';
  const figures = facts();
  const people = el('p', { class: 'people', 'data-testid': 'present' });
  const here = el('section', { class: 'panel', hidden: '' }, el('div', { class: 'table-head' }, el('h2', {}, t('users'))), people);
  const table = tableView(memberColumns(), {
    path: 'api/topic', title: t('members'), sort: '-outbox_bytes', none: t('noMembers'), fixed: { name },
  }, params, go, ({ topic: r, present, time }) => {
    showPeople(here, people, r.users, present);
    figures.update(topicFacts(r, time));
  }, () => t('topicGone'));
  return { nodes: [title(t('topics'), name, '#/'), figures.node, here, table.node], ready: table.ready, stop: table.stop };
}

/** showPeople names the users who are in a topic, of which there are so many; in a topic that does not know, there are none. */
function showPeople(panel, list, users, names) {
  panel.hidden = users === 0;
  setText(list, names.length > 0 ? names.join(', ') : t('crowd', count(users)));
}

function topicFacts(r, time) {
  return [
    [t('subscribers'), r.lingering ? t('lingers') : count(r.subscribers)],
    [t('ofV2'), count(r.subscribers_v2)],
    [t('rate'), rate(r.rate) + t('perSecond')],
    [t('published'), count(r.published)],
    [t('delivered'), count(r.delivered)],
    [t('dropped'), count(r.dropped), alarm(r.dropped)],
    [t('mailbox'), count(r.mailbox_depth)],
    [t('restarts'), count(r.restarts), alarm(r.restarts)],
    [t('age'), since(r.created_at, time)],
    [t('lastPublished'), isZeroTime(r.last_published_at) ? t('never') : t('ago', since(r.last_published_at, time))],
    [t('kept'), r.kept ? t('keptOf', count(r.kept), bytes(r.kept_bytes)) : '0'],
    [t('oldest'), r.kept ? t('ago', since(r.oldest_kept_at, time)) : t('unknown')],
    [t('position'), count(r.seq)],
    [t('epoch'), r.epoch || t('unknown'), 'id'],
  ];
}

export function client(params) {
  const id = params.get('id') ?? '';
  const figures = facts();
  const heading = title(t('clients'), id, '#/clients');
  const list = el('div', { class: 'links', 'data-testid': 'subscriptions' });
  const more = el('p', { class: 'note' }, t('loading'));
  const panel = el('section', { class: 'panel' }, el('div', { class: 'table-head' }, el('h2', {}, t('subscriptions'))), list, more);
  const polling = poll(() => `api/client?${new URLSearchParams({ id })}`, 2000, ({ client: r, topics, topics_total, time }) => {
    setText(heading.querySelector('bdi'), r.user_id);
    figures.update([
      [t('outbox'), bytes(r.outbox_bytes)],
      [t('dropped'), count(r.dropped), alarm(r.dropped)],
      [t('rtt'), nanoseconds(r.rtt)],
      [t('lastSeen'), t('ago', since(r.last_seen, time))],
      [t('connected'), since(r.connected_at, time)],
      [t('subscriptions'), count(r.subscriptions)],
      [t('protocol'), r.protocol],
      [t('status'), r.closing ? t('isClosing') : t('open')],
      [t('address'), r.remote_addr, 'id'],
      [t('id'), r.id, 'id'],
    ]);
    reconcile(list, topics, (s) => s.name, standing, fillStanding);
    list.hidden = topics.length === 0;
    more.hidden = topics.length === topics_total && topics_total > 0;
    setText(more, topics_total === 0 ? t('noSubscriptions') : t('more', count(topics_total - topics.length)));
  }, (refusal) => {
    list.hidden = true;
    more.hidden = false;
    setText(more, refusal.status === 404 ? t('clientGone') : refusal.message);
  });
  return { nodes: [heading, figures.node, panel], stop: polling.stop };
}

/** standing is a topic of a client, and how far the client is in it. */
const standing = (s) => el('a', { href: topicLink(s.name) }, el('bdi', {}, s.name), el('small'));

function fillStanding(a, s) {
  setText(a.lastChild, s.lag > 0 ? t('behind', count(s.lag)) : '');
  a.classList.toggle('loud', s.lag > 0);
  a.title = `${s.name}\n${t('standsAt', count(s.seq - s.lag), count(s.seq))}`;
}
