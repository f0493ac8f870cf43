// A table that the server sorts, filters and pages.

import { el, reconcile, setAttribute, setText } from './dom.js';
import { count } from './format.js';
import { poll } from './poll.js';
import { t } from './words.js';

/**
 * tableView shows what is at an address of the API.
 *
 * columns are {key, title, value(row, now), kind, wide}: kind is 'text' or, for what is bad news unless zero, 'alarm'; the first
 * has link(row), too. One that is wide is not cut. A column without a key cannot be sorted by. options are {path, title, sort,
 * filter, none, fixed}: fixed are parameters that stay, filter is the text in an empty field, or none. params, of type
 * URLSearchParams, say where the table is; go(params) is called when it should be elsewhere. onPage, if there is one, gets each
 * page.
 */
export function tableView(columns, options, params, go, onPage, onGone) {
  const heads = columns.map((c) => head(c, options, params, go));
  const body = el('tbody');
  const empty = el('p', { class: 'empty', 'data-testid': 'empty' }, t('loading'));
  const pager = pagerView(params, go);
  const field = options.filter && filterField(options, params, go);
  const rows = el('table', { 'aria-label': options.title }, el('thead', {}, el('tr', {}, ...heads)), body);
  const node = el('section', { class: 'panel', 'data-testid': 'table' },
    el('div', { class: 'table-head' }, el('h2', {}, options.title), field, pager.node), rows, empty);

  let isReady;
  const ready = new Promise((resolve) => { isReady = resolve; });
  const show = (page) => {
    isReady();
    reconcile(body, page.items, (row) => columns[0].id(row), (row) => makeRow(columns, row), (tr, row) => fillRow(columns, tr, row, page.time));
    empty.hidden = page.items.length > 0;
    rows.hidden = !empty.hidden && !params.get('q');
    if (page.matched > 0) setText(empty, t('beyond'));
    else setText(empty, params.get('q') ? t('noMatch', params.get('q')) : options.none);
    pager.update(page);
    onPage?.(page);
  };
  const url = () => `${options.path}?${new URLSearchParams({ sort: options.sort, ...options.fixed, ...Object.fromEntries(params) })}`;
  const polling = poll(url, 2000, show, (refusal) => {
    isReady();
    reconcile(body, [], String);
    empty.hidden = false;
    setText(empty, refusal.status === 404 && onGone ? onGone() : refusal.message);
    pager.update({ matched: 0, page: 1, pages: 0, size: 1 });
  });
  return { node, ready, stop: polling.stop, focusFilter: () => field?.focus() };
}

const classOf = (column) => (column.kind === 'text' ? (column.wide ? 'text wide' : 'text') : null);

function head(column, options, params, go) {
  const sort = params.get('sort') ?? options.sort;
  const [key, descending] = [sort.replace('-', ''), sort.startsWith('-')];
  const th = el('th', { scope: 'col', class: classOf(column) });
  if (!column.key) {
    th.append(column.title);
    return th;
  }
  const button = el('button', { type: 'button', 'data-testid': `sort-${column.key}` }, column.title);
  setAttribute(th, 'aria-sort', key === column.key ? (descending ? 'descending' : 'ascending') : null);
  button.addEventListener('click', () => {
    const ascendingFirst = column.kind === 'text';
    const flip = key === column.key ? !descending : !ascendingFirst;
    change(params, go, { sort: `${flip ? '-' : ''}${column.key}`, page: null });
  });
  th.append(button);
  return th;
}

/** change goes to the same table with other parameters; null takes one away. */
function change(params, go, changes) {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    if (value == null || value === '') next.delete(name);
    else next.set(name, value);
  }
  go(next);
}

function makeRow(columns, row) {
  const cells = columns.map((c, i) => {
    const content = c.link ? el('a', { href: c.link(row) }, el('bdi')) : el('bdi');
    return el('td', { class: i > 0 && classOf(c), 'data-label': c.title }, content);
  });
  return el('tr', { 'data-testid': 'row' }, ...cells);
}

function fillRow(columns, tr, row, now) {
  columns.forEach((c, i) => {
    const td = tr.children[i], value = c.value(row, now);
    setText(td.firstChild.querySelector('bdi') ?? td.firstChild, value);
    if (c.title_) setAttribute(td, 'title', c.title_(row));
    td.classList.toggle('zero', value === '0' || value === t('unknown'));
    td.classList.toggle('loud', c.kind === 'alarm' && value !== '0');
  });
}

function filterField(options, params, go) {
  const field = el('input', {
    class: 'filter', type: 'search', placeholder: options.filter, 'aria-label': options.filter.replace(/\s*\/$/, ''),
    'data-testid': 'filter', autocomplete: 'off', spellcheck: 'false',
  });
  field.value = params.get('q') ?? '';
  field.defaultValue = field.value; // what was asked for last
  let timer;
  const apply = () => {
    clearTimeout(timer);
    if (!field.isConnected || field.value === field.defaultValue) return; // whoever typed may be elsewhere by now
    field.defaultValue = field.value;
    change(params, go, { q: field.value, page: null });
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 200);
  };
  // What an input method composes, as for Chinese, is not text yet, and Enter and Escape are the input method's meanwhile.
  // Safari ends the composition before it tells of the key, whose code is 229 then.
  field.addEventListener('compositionstart', () => {
    clearTimeout(timer);
    field.dataset.composing = '';
  });
  field.addEventListener('compositionend', () => {
    delete field.dataset.composing;
    soon();
  });
  field.addEventListener('input', (e) => {
    if (!e.isComposing) soon();
  });
  field.addEventListener('keydown', (e) => {
    if (e.isComposing || e.keyCode === 229) {
      if (e.key === 'Escape') e.preventDefault(); // or the browser empties the field
      return;
    }
    if (e.key === 'Enter') apply();
    if (e.key !== 'Escape') return;
    e.preventDefault();
    if (field.value) {
      field.value = '';
      apply();
    } else {
      field.blur();
    }
  });
  return field;
}

function pagerView(params, go) {
  const range = el('span', { 'data-testid': 'range' });
  let at = { page: 1, pages: 1 };
  const button = (name, sign, target) => {
    const b = el('button', { type: 'button', 'aria-label': t(name), title: t(name), 'data-testid': `page-${name}` }, sign);
    b.addEventListener('click', () => change(params, go, { page: target() > 1 ? target() : null }));
    return b;
  };
  const back = [button('first', '«', () => 1), button('previous', '‹', () => Math.min(at.page - 1, Math.max(1, at.pages)))];
  const on = [button('next', '›', () => at.page + 1), button('last', '»', () => at.pages)];
  return {
    node: el('div', { class: 'pager' }, ...back, range, ...on),
    update(page) {
      at = page;
      for (const b of back) b.disabled = page.page <= 1;
      for (const b of on) b.disabled = page.page >= page.pages;
      const first = (page.page - 1) * page.size + 1;
      setText(range, page.matched === 0 ? t('nothing')
        : t('range', count(first), count(Math.min(page.matched, first + page.size - 1)), count(page.matched)));
    },
  };
}
