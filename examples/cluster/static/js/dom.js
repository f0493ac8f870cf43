// Small helpers around the DOM. Text from the network only ever becomes text nodes and attributes, never markup.

/** el makes an element: el('p', {class: 'x'}, 'text', node). */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** setText touches the document only when something changes, so that screen readers stay quiet. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** reconcile makes a list's children those of items, which have ids, and keeps the nodes of items that were there before. */
export function reconcile(list, items, create, update) {
  const ids = new Set(items.map(({ id }) => id));
  const known = new Map();
  for (const node of [...list.children]) {
    if (ids.has(node.dataset.id)) known.set(node.dataset.id, node);
    else node.remove();
  }
  let at = list.firstElementChild;
  items.forEach((item, i) => {
    const node = known.get(item.id) ?? create(item);
    node.dataset.id = item.id;
    update(node, item, i, items);
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  });
}
