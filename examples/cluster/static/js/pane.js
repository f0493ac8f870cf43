// A page of the chat, as large as half a window.

import { composes } from '../keys.js';
import { el, reconcile, setText } from './dom.js';
import { Session } from './session.js';

const NEAR = 40; // px from the end that count as being at the end

/**
 * pane makes a page for the person names[who]. nodes() returns what it can connect to, flows(session, out) is told when a message goes to the
 * node or comes from it, and t looks a text up.
 */
export function pane(names, who, { nodes, flows, t }) {
  const root = document.getElementById('pane').content.firstElementChild.cloneNode(true);
  const $ = (name) => root.querySelector(`.${name}`);
  const [log, list, text, form] = [$('log'), $('log ol'), root.querySelector('textarea'), root.querySelector('form')];
  const session = new Session(names[who], { changed: draw, flows: (out) => flows(session, out) });
  root.dataset.who = who;
  root.dataset.testid = `pane-${who + 1}`;
  setText($('avatar'), names[who][0]);
  setText(root.querySelector('h2'), names[who]);

  const other = () => nodes().find(({ number }) => number !== session.node.number);
  $('move').addEventListener('click', () => session.connect(other()));

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!text.value.trim()) return;
    session.say(text.value.trim());
    text.value = '';
    log.scrollTop = log.scrollHeight; // who says something wants to see it
    text.focus();
    draw();
  });
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || composes(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  text.addEventListener('input', draw);

  function create(item) {
    if (item.note) return el('li', { class: `note ${item.note}`, 'data-testid': 'note' }, el('span'));
    const name = names.indexOf(item.from);
    return el('li', { class: 'line', 'data-testid': 'message', 'data-who': name, 'data-from': item.from },
      el('span', { class: 'avatar', 'aria-hidden': 'true' }, item.from[0]),
      el('div', { class: 'said' }, el('p', { class: 'text', dir: 'auto' }, item.text), el('p', { class: 'fate' })));
  }

  function update(node, item, i, items) {
    if (item.note) return setText(node.firstChild, t(item.note));
    node.classList.toggle('own', item.from === names[who]);
    node.classList.toggle('joins', items[i - 1]?.from === item.from);
    node.dataset.state = item.state ?? 'published';
    setText(node.querySelector('.fate'), { late: t('notSent'), refused: t('refused') }[item.state] ?? '');
  }

  function draw() {
    if (!session.node) return;
    const { state, node } = session;
    const stick = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR; // before the banner takes room
    root.dataset.state = state;
    root.dataset.node = node.number;
    setText($('where'), t('onNode')(node.number));
    setText($('state'), t(state));
    setText($('move'), t('move')(other()?.number));
    const trouble = state === 'interrupted' || state === 'lost';
    $('banner').hidden = !trouble;
    if (trouble) setText($('banner-text'), t(state === 'lost' ? 'lostBanner' : 'interruptedBanner')(node.number));
    const items = [...session.items, ...session.own];
    reconcile(list, items, create, update);
    $('empty').hidden = items.length > 0;
    text.placeholder = text.ariaLabel = t('write')(names[who]);
    $('send').ariaLabel = $('send').title = t('send');
    $('send').disabled = !text.value.trim();
    if (stick) log.scrollTop = log.scrollHeight;
  }

  return { root, session, draw };
}
