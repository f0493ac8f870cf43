// Small helpers around the DOM. Text from the network only ever becomes text nodes and attributes, never markup.

export const $ = (id) => document.getElementById(id);

/** el makes an element: el('p', {class: 'x'}, 'text', node). False and null children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== false && c != null));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

/** icon refers to one of the symbols in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** sparkline draws the last values, newest at the right, on a box made by sparklineBox. */
export function sparkline(svg, values) {
  const top = Math.max(1, ...values);
  const step = 48 / (values.length - 1);
  const points = values.map((v, i) => `${(i * step).toFixed(1)},${(15 - (v / top) * 13).toFixed(1)}`);
  let line = svg.firstElementChild;
  if (!line) svg.append(line = document.createElementNS(SVG, 'polyline'));
  line.setAttribute('points', points.join(' '));
}

export function sparklineBox() {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', '0 0 48 16');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  return svg;
}

/** setText touches the document only when something changes, so that screen readers stay quiet. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * reconcile makes parent's children those of items, keeping the nodes of items that were there before: focus and
 * scroll position survive an update.
 */
export function reconcile(parent, items, key, create, update) {
  const keys = new Set(items.map(key));
  const known = new Map();
  for (const node of [...parent.children]) {
    if (keys.has(node.dataset.key)) known.set(node.dataset.key, node);
    else node.remove();
  }
  let at = parent.firstElementChild;
  items.forEach((item, i) => {
    const k = key(item);
    const node = known.get(k) ?? create(item);
    node.dataset.key = k;
    update(node, item, i);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  });
}

/** hueOf gives every name a colour of its own, the same on every screen. */
export function hueOf(name) {
  let hash = 2166136261;
  for (const c of name) hash = Math.imul(hash ^ c.codePointAt(0), 16777619);
  return (hash >>> 0) % 360;
}

/** initial is one letter for a name: the last one of a Chinese name, where the first is the family's. */
function initial(name) {
  const letters = globalThis.Intl?.Segmenter
    ? Array.from(new Intl.Segmenter().segment(name), (s) => s.segment)
    : [...name];
  return (/^\p{Script=Han}+$/u.test(name) ? letters.at(-1) : letters[0] ?? '?').toLocaleUpperCase();
}

/** paintAvatar turns a node into the coloured disc of a name. */
export function paintAvatar(node, name) {
  node.classList.add('avatar');
  node.setAttribute('aria-hidden', 'true');
  node.style.setProperty('--hue', hueOf(name));
  setText(node, initial(name));
  return node;
}

export const avatar = (name) => paintAvatar(el('span'), name);

/** userName isolates a name, so that its writing direction does not turn its surroundings around. */
export function userName(name) {
  const node = el('bdi', { class: 'user' }, name);
  node.style.setProperty('--hue', hueOf(name));
  return node;
}
