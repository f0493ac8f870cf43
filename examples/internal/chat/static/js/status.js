// How the connection is doing: the pill at the top, and the banner when there is something to explain.

import { $, setText } from './dom.js';
import { t } from './i18n.js';

export function statusView(connection) {
  let clock = 0;

  function text() {
    const seconds = Math.max(1, Math.ceil((connection.retryAt - Date.now()) / 1000));
    switch (connection.state) {
      case 'online': return t('online');
      case 'waiting': return t(connection.shutdown ? 'closing' : 'waiting', seconds);
      default: return t(connection.everOnline || connection.shutdown ? 'retrying' : 'connecting');
    }
  }

  function draw() {
    $('status').dataset.state = connection.state === 'waiting' && connection.shutdown ? 'shutdown' : connection.state;
    setText($('status-text'), text());
    const trouble = connection.state !== 'online' && (connection.everOnline || connection.shutdown || connection.state === 'waiting');
    $('banner').hidden = !trouble;
    $('banner').classList.toggle('shutdown', connection.shutdown);
    if (trouble) setText($('banner-text'), t(connection.shutdown ? 'shutdownNotice' : 'lostNotice'));
    $('retry').disabled = connection.state !== 'waiting';
    clearInterval(clock);
    if (connection.state === 'waiting') clock = setInterval(() => setText($('status-text'), text()), 250);
  }

  $('retry').addEventListener('click', () => connection.retryNow());
  return { draw };
}
