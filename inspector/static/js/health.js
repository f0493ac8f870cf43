// How the instance fares: charts, figures that should be zero, and distributions.

import { bars, curve, quantile } from './chart.js';
import { el, setText } from './dom.js';
import { bytes, count, duration, rate, short } from './format.js';
import { t } from './words.js';

const bytesRate = (n) => `${bytes(n)}${t('perSecond')}`;

// title, its value and a note about it, and the samples that are drawn
const charts = [
  ['clients', (now) => count(now.stats.clients), (now) => t('topicsOf', count(now.stats.topics)), 'clients', count],
  ['messagesOut', (now) => perSecond(latest(now).messages_out), (now) => t('total', short(now.stats.messages_out)), 'messages_out', rate],
  ['messagesIn', (now) => perSecond(latest(now).messages_in), (now) => t('total', short(now.stats.messages_in)), 'messages_in', rate],
  ['bytesOut', (now) => bytesRate(latest(now).bytes_out ?? 0), (now) => t('total', bytes(now.stats.bytes_out)), 'bytes_out', bytes],
];

const latest = (now) => now.samples.at(-1) ?? {};
const GAP = 5; // as many intervals without a sample, and nobody has looked

const perSecond = (n = 0) => `${short(n)}${t('perSecond')}`;

const missed = ({ resumes: r }) => r.epoch + r.ahead + r.off + r.evicted + r.unknown;

// title, field of the statistics, field of the samples, whether more than zero is bad news, format, value if that is no field
const tiles = [
  ['dropped', 'dropped', 'dropped', true],
  ['evicted', 'evicted', 'evicted', true],
  ['panics', 'panics_recovered', 'panics', true],
  ['eventsDropped', 'events_dropped', 'events_dropped', true],
  ['refused', 'refused', 'refused', false],
  ['throttled', 'throttled', 'throttled', false],
  ['outboxes', 'outbox_memory', null, false, bytes],
  ['bytesIn', 'bytes_in', null, false, bytes],
  ['historyMemory', 'history_memory', null, false, bytes],
  ['lingering', 'lingering_topics', null, false],
  ['recovered', 'recovered', 'recovered', false, count, (stats) => stats.resumes.recovered],
  ['missed', 'missed', 'missed', false, count, missed],
  ['present', 'present', null, false],
  ['requestsFailed', 'requests_failed', 'requests_failed', false],
];

const distributions = [
  ['writeLatency', 'write_latency', duration],
  ['batchMessages', 'batch_messages', count],
  ['outboxBytes', 'outbox_bytes', bytes],
  ['requestLatency', 'request_latency', duration],
];

/** healthView makes the nodes, and updates them. */
export function healthView() {
  const parts = [...charts.map(chartPart), ...tiles.map(tilePart), ...distributions.map(distributionPart)];
  const [a, b] = [charts.length, charts.length + tiles.length];
  const node = (list) => list.map((part) => part.node);
  return {
    nodes: [
      el('section', { class: 'charts', 'data-testid': 'charts' }, ...node(parts.slice(0, a))),
      el('section', { class: 'panel tiles', 'data-testid': 'tiles' }, ...node(parts.slice(a, b))),
      el('section', { class: 'distributions', 'data-testid': 'distributions' }, ...node(parts.slice(b))),
    ],
    update: (now) => parts.forEach((part) => part.update(now)),
  };
}

function chartPart([title, value, note, field, format]) {
  const strong = el('strong', { 'data-testid': `figure-${field}` }), small = el('small');
  const line = curve();
  const node = el('article', { class: 'panel chart' }, el('h2', {}, t(title)), el('p', { class: 'figure' }, strong, small), line.node);
  return {
    node,
    update(now) {
      setText(strong, value(now));
      setText(small, note(now));
      const points = now.samples.map((s) => ({ x: s.time, y: s[field] }));
      node.title = points.length ? t('peak', format(Math.max(...points.map((p) => p.y)))) : '';
      line.update(points, 1000 * GAP * now.interval);
    },
  };
}

function tilePart([title, total, field, alarming, format = count, value = (stats) => stats[total]]) {
  const strong = el('strong', { 'data-testid': `total-${total}` }), small = el('small');
  const node = el('article', { class: 'tile', title: t('hint', field ?? total) }, el('h2', {}, t(title)), strong, small);
  return {
    node,
    update(now) {
      const n = value(now.stats), current = field ? latest(now)[field] ?? 0 : 0;
      setText(strong, format(n));
      setText(small, current > 0 ? `+${rate(current)}${t('perSecond')}` : '');
      node.classList.toggle('quiet', n === 0);
      node.classList.toggle('loud', alarming && n > 0);
    },
  };
}

function distributionPart([title, key, format]) {
  const half = el('b'), most = el('b'), none = el('span', { class: 'soft' }, t('none'));
  const figures = [el('span', {}, `${t('p50')} `, half), el('span', {}, `${t('p99')} `, most)];
  const picture = bars();
  const node = el('article', { class: 'panel distribution', 'data-testid': `distribution-${key}` },
    el('h2', {}, t(title)), el('p', {}, ...figures, none), ...picture.nodes);
  return {
    node,
    update(now) {
      const { bounds, recent } = now.histograms[key];
      const any = recent.some((n) => n > 0);
      figures.forEach((f) => { f.hidden = !any; });
      none.hidden = any;
      setText(half, format(quantile(0.5, bounds, recent)));
      setText(most, format(quantile(0.99, bounds, recent)));
      picture.update(recent, [...bounds.map((b) => `≤ ${format(b)}`), `> ${format(bounds.at(-1))}`]);
    },
  };
}
