// The list of one's topics, with unread counts.

import { $, el, icon, reconcile, setText } from './dom.js';
import { t } from './i18n.js';

/** sidebar draws the rooms. actions: open(topic), leave(topic), join(topic). */
export function sidebar(rooms, actions) {
  const list = $('room-list');
  const field = $('join-topic');

  $('join-form').addEventListener('submit', (e) => {
    e.preventDefault();
    if (actions.join(field.value)) field.value = '';
  });

  const create = ({ topic }) => {
    const open = el('button', { class: 'room-open', type: 'button', 'data-testid': 'room-open' },
      el('span', { class: 'hash', 'aria-hidden': 'true' }, '#'),
      el('bdi', { class: 'room-name' }),
      el('span', { class: 'badge', 'data-testid': 'unread', hidden: true }));
    open.addEventListener('click', () => actions.open(topic));
    const leave = el('button', { class: 'room-leave icon-button', type: 'button', 'data-testid': 'room-leave' }, icon('x'));
    leave.addEventListener('click', () => actions.leave(topic));
    return el('li', { class: 'room-item', 'data-topic': topic, 'data-testid': 'room' }, open, leave);
  };

  const update = (node, room) => {
    const [open, leave] = node.children;
    const badge = open.querySelector('.badge');
    const active = room.topic === rooms.active, name = t('room', room.topic);
    setText(open.querySelector('.room-name'), name);
    node.classList.toggle('active', active);
    node.classList.toggle('fresh', room.unread > 0);
    if (active) open.setAttribute('aria-current', 'true');
    else open.removeAttribute('aria-current');
    badge.hidden = room.unread === 0;
    setText(badge, room.unread > 99 ? '99+' : String(room.unread));
    open.setAttribute('aria-label', room.unread ? `${name}, ${t('unread', room.unread)}` : name);
    open.title = room.topic;
    leave.title = t('leaveShort');
    leave.setAttribute('aria-label', t('leave', name));
  };

  /** draw also offers topics to those who know none. */
  function draw() {
    reconcile(list, [...rooms.all.values()], (room) => room.topic, create, update);
    $('room-none').hidden = rooms.all.size > 0;
    const offers = t('suggestions').filter((topic) => !rooms.all.has(topic));
    const chip = (topic) => {
      const button = el('button', { class: 'chip', type: 'button' }, el('bdi'));
      button.addEventListener('click', () => actions.join(topic));
      return button;
    };
    for (const box of document.querySelectorAll('.suggestions')) {
      reconcile(box, offers, (topic) => topic, chip, (node, topic) => {
        setText(node.firstChild, `# ${t('room', topic)}`);
        node.setAttribute('aria-label', t('joinTopic', t('room', topic)));
      });
    }
  }

  return { draw };
}
