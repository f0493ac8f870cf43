// Small helpers around the DOM. Text from the network only ever becomes text nodes and attributes, never markup.

/** el makes an element: el('p', {class: 'x'}, 'text', node). False and null children are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c !== false && c != null));
  return node;
}

const SVG = 'http://www.w3.org/2000/svg';

export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** setText touches the document only when something changes, so that a selection in it survives. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** setAttribute does the same; null takes it away. */
export function setAttribute(node, name, value) {
  if (value == null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** reconcile makes parent's children those of items, keeping the nodes of items that were there: focus survives. */
export function reconcile(parent, items, key, create, update) {
  const keys = new Set(items.map(key));
  const known = new Map();
  for (const node of [...parent.children]) {
    if (keys.has(node.dataset.key)) known.set(node.dataset.key, node);
    else node.remove();
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const node = known.get(key(item)) ?? create(item);
    node.dataset.key = key(item);
    update(node, item);
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}
