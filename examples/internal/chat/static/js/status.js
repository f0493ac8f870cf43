// How the connection is doing: the pill at the top, and the banner when there is something to explain.

import { $, setText } from './dom.js';
import { t } from './i18n.js';

const GOING_AWAY = 1001; // close code of a server that shuts down and asks us to come back (RFC 6455, section 7.4.1)

export function statusView(connection) {
  let clock = 0;
  let everOnline = false;
  let shutdown = false; // the server said goodbye, and has not been seen since

  function text() {
    const seconds = Math.max(1, Math.ceil((connection.retryAt - Date.now()) / 1000));
    switch (connection.state) {
      case 'open': return t('online');
      case 'closed': return t('closed');
      case 'waiting': return t(shutdown ? 'closing' : 'waiting', seconds);
      default: return t(everOnline || shutdown ? 'retrying' : 'connecting');
    }
  }

  function draw() {
    const state = connection.state === 'open' ? 'online' : connection.state;
    $('status').dataset.state = state === 'waiting' && shutdown ? 'shutdown' : state;
    setText($('status-text'), text());
    const trouble = connection.state !== 'open' && (everOnline || shutdown || connection.state === 'waiting');
    $('banner').hidden = !trouble;
    $('banner').classList.toggle('shutdown', shutdown);
    if (trouble) setText($('banner-text'), t(shutdown ? 'shutdownNotice' : 'lostNotice'));
    $('retry').disabled = connection.state !== 'waiting';
    clearInterval(clock);
    if (connection.state === 'waiting') clock = setInterval(() => setText($('status-text'), text()), 250);
  }

  $('retry').addEventListener('click', () => connection.retry());
  return {
    draw,
    opened() { [everOnline, shutdown] = [true, false]; },
    lost(code) { shutdown ||= code === GOING_AWAY; },
  };
}
