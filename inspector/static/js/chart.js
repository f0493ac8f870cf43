// Small pictures of figures, drawn as SVG.

import { el, setAttribute, setText, svg } from './dom.js';

const width = 300, height = 52;
const shortest = 30_000, longest = 300_000; // milliseconds that a chart spans

/**
 * curve is a chart over time. Its method update takes points [{x: milliseconds, y}], oldest first, and the milliseconds between
 * two points from which on nobody has looked in between: there is a gap then.
 */
export function curve() {
  const area = svg('path', { class: 'area' });
  const line = svg('path', { class: 'curve' });
  const node = svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, area, line);
  return {
    node,
    update(points, gap) {
      if (points.length < 2) {
        setAttribute(line, 'd', '');
        setAttribute(area, 'd', '');
        return;
      }
      const end = points.at(-1).x;
      const span = Math.min(longest, Math.max(shortest, end - points[0].x));
      const top = Math.max(1e-9, ...points.map((p) => p.y));
      const x = (p) => (width * (1 - (end - p.x) / span)).toFixed(1);
      const y = (p) => (height - 2 - (p.y / top) * (height - 8)).toFixed(1);
      const seen = points.filter((p) => end - p.x <= span);
      const runs = [];
      for (const p of seen) {
        if (p.x - (runs.at(-1)?.at(-1).x ?? -Infinity) >= gap) runs.push([]);
        runs.at(-1).push(p);
      }
      const paths = runs.map((run) => `M${run.map((p) => `${x(p)},${y(p)}`).join('L')}${run.length > 1 ? '' : 'h0'}`);
      setAttribute(line, 'd', paths.join(''));
      setAttribute(area, 'd', paths.map((path, i) => `${path}L${x(runs[i].at(-1))},${height}L${x(runs[i][0])},${height}Z`).join(''));
    },
  };
}

/** bars shows how many there are of each size. Its method update takes counts and what each bar is called. */
export function bars() {
  const list = el('ul', { class: 'bars', 'aria-hidden': 'true' });
  const first = el('span'), last = el('span');
  return {
    nodes: [list, el('p', { class: 'axis', 'aria-hidden': 'true' }, first, last)],
    update(counts, names) {
      while (list.children.length < counts.length) list.append(el('li', {}, el('i')));
      const top = Math.max(1, ...counts);
      counts.forEach((n, i) => {
        const item = list.children[i];
        item.firstChild.style.height = n ? `${Math.max(4, (100 * n) / top)}%` : '0';
        setAttribute(item, 'title', `${names[i]}: ${n}`);
      });
      setText(first, names[0]);
      setText(last, names.at(-1));
    },
  };
}

/** quantile is the value that so large a part of what was counted does not exceed, as near as buckets tell. */
export function quantile(part, bounds, counts) {
  let rest = part * counts.reduce((sum, n) => sum + n, 0);
  for (let i = 0; i < bounds.length; i++) {
    if (counts[i] > 0 && rest <= counts[i]) {
      const low = i > 0 ? bounds[i - 1] : 0;
      return low + (bounds[i] - low) * (rest / counts[i]);
    }
    rest -= counts[i];
  }
  return bounds.at(-1);
}
