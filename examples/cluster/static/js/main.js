// The desk: how the cluster is, the buttons that break it, and two pages of the chat below.

import { speak } from '../language.js';
import { Tank } from '../tank.js';
import { setText } from './dom.js';
import { pane } from './pane.js';
import { words } from './words.js';

const NAMES = ['Ada', 'Lin'];
const RUN = 450; // ms that a dot takes from one end of a cable to the other

const $ = (id) => document.getElementById(id);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
let state = null; // as the program says; see desk.go
let failure = ''; // of the last order

const t = speak(words, draw);
const desk = new Tank(new URL('ws', document.baseURI), { onState: draw });
const panes = NAMES.map((_, who) => pane(NAMES, who, { nodes, flows, t }));
$('panes').append(...panes.map(({ root }) => root));
desk.subscribe('cluster', {
  last: 1,
  gaps: 'ignore',
  onMessage({ data }) {
    state = data;
    panes.forEach(({ session }, i) => session.node || session.connect(nodes()[i]));
    draw();
  },
});

/** nodes is what pages can connect to. */
function nodes() {
  return state.nodes.map(({ port }, i) => ({ number: i + 1, port }));
}

/** flows shows a message that a page has sent, or that has come to it, as a dot on its node's cable. */
function flows({ node }, out) {
  if (calm.matches || document.hidden) return;
  const dot = $(`cable-${node.number}`).querySelector('.dot');
  const [toBroker, toNode] = node.number === 1 ? ['100%', '0%'] : ['0%', '100%'];
  const path = out ? [toNode, toBroker] : [toBroker, toNode];
  dot.animate(path.map((left) => ({ left, opacity: 1 })), { duration: RUN, easing: 'ease-in-out' });
}

async function order(what) {
  failure = '';
  try {
    await desk.request(what, { signal: AbortSignal.timeout(15_000) });
  } catch (error) {
    failure = error.message;
  }
  draw();
}

$('kill').addEventListener('click', () => order({ do: state?.pid ? 'kill' : 'start' }));
for (const number of [1, 2]) {
  $(`cut-${number}`).addEventListener('click', () => order({ do: state?.nodes[number - 1].plugged ? 'cut' : 'join', node: number - 1 }));
}

/** advice is what there is to see and to do now. */
function advice() {
  if (desk.state !== 'open') return t('gone');
  if (failure) return t('failed')(failure);
  if (!state.pid) return t('dead');
  const cut = state.nodes.findIndex(({ plugged }) => !plugged);
  if (state.nodes.every(({ plugged }) => !plugged)) return t('allCut');
  return cut < 0 ? t('fine') : t('oneCut')(cut + 1, 2 - cut);
}

function drawNode({ port, plugged, interrupted, pages, kept }, i) {
  const number = i + 1;
  const [box, cable, button] = [$(`node-${number}`), $(`cable-${number}`), $(`cut-${number}`)];
  box.dataset.state = interrupted ? 'interrupted' : 'live';
  cable.dataset.state = !plugged ? 'cut' : interrupted ? 'down' : 'live';
  setText(box.querySelector('h2'), t('node')(number));
  setText(box.querySelector('.port'), `:${port}`);
  setText(box.querySelector('.pages'), t('pages')(pages));
  setText(box.querySelector('.kept'), t('kept')(kept));
  button.ariaLabel = button.title = t(plugged ? 'cut' : 'join')(number);
  button.ariaPressed = !plugged;
}

function drawBroker({ pid, since }) {
  const seconds = Math.max(0, Math.floor((Date.now() - since) / 1000));
  $('broker').dataset.state = pid ? 'live' : 'dead';
  setText($('process'), pid ? t('runs')(pid) : t('killed')(seconds));
  setText($('kill'), t(pid ? 'kill' : 'start'));
  $('kill').ariaLabel = $('kill').title = t(pid ? 'killLabel' : 'start');
}

function draw() {
  const open = desk.state === 'open';
  document.body.dataset.desk = open ? 'open' : 'gone';
  for (const button of [$('kill'), $('cut-1'), $('cut-2')]) button.disabled = !open || !state;
  panes.forEach((p) => p.draw());
  if (!state) return;
  state.nodes.forEach(drawNode);
  drawBroker(state);
  setText($('advice'), advice());
}

setInterval(() => state && drawBroker(state), 500); // the seconds that it is away
