// A connection that comes back after every loss and subscribes again to what is wanted. What it needs of the protocol is
// little: "sub:" and "unsub:", frames with a topic, and the server's answer to "skipped?".

const LONGEST_DELAY = 30_000; // ms between two attempts
const STABLE = 10_000; // ms online until the next loss counts as the first again
const SILENCE = 15_000; // ms without a word, although asked, after which a connection is taken for dead
const ASLEEP = 3_000; // ms without a tick: it was the page that did not listen

export class Connection {
  state = 'connecting'; // connecting, open, closed
  #slow = false;
  #wanted = new Set(); // topics
  #socket = null;
  #attempts = 0;
  #timer = 0;
  #askedAt = 0; // 0: no answer is awaited
  #heardAt = 0;
  #tickedAt = 0;

  /** onState(), onPrice(topic, data) and onSkipped(count, msBehind) are called when there is something to tell. */
  constructor({ onState, onPrice, onSkipped }) {
    Object.assign(this, { onState, onPrice, onSkipped });
    addEventListener('online', () => this.state === 'closed' && this.connect());
    setInterval(() => this.#tick(), 1000);
  }

  connect() {
    clearTimeout(this.#timer);
    this.#drop();
    const url = new URL(this.#slow ? 'slow' : 'ws', document.baseURI);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#socket = new WebSocket(url);
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = ({ data }) => this.#received(data);
    this.#socket.onclose = () => this.#lost();
    this.#become('connecting');
  }

  /** useSlowLink connects anew, to the server's slow link or to its real one. */
  useSlowLink(slow) {
    this.#slow = slow;
    this.#attempts = 0;
    this.connect();
  }

  subscribe(topic) {
    this.#wanted.add(topic);
    this.#send(`sub:${topic}`);
  }

  unsubscribe(topic) {
    this.#wanted.delete(topic);
    this.#send(`unsub:${topic}`);
  }

  #send(text) {
    if (this.state === 'open') this.#socket.send(text); // what is wanted is sent again when it opens
  }

  #become(state) {
    this.state = state;
    this.onState();
  }

  #opened() {
    this.#timer = setTimeout(() => { this.#attempts = 0; }, STABLE);
    this.#heardAt = performance.now();
    this.#become('open');
    this.#ask(); // before the prices, so that the first answer comes at once
    for (const topic of this.#wanted) this.#send(`sub:${topic}`);
  }

  #received(data) {
    this.#heardAt = performance.now();
    const frame = JSON.parse(data);
    if (frame.topic) {
      this.onPrice(frame.topic, frame.data);
    } else if (frame.skipped !== undefined) {
      this.onSkipped(frame.skipped, this.#heardAt - this.#askedAt);
      this.#askedAt = 0;
    } else {
      console.warn('not understood:', data);
    }
  }

  #lost() {
    clearTimeout(this.#timer);
    this.#drop();
    const ceiling = Math.min(LONGEST_DELAY, 1000 * 2 ** this.#attempts++);
    this.#timer = setTimeout(() => this.connect(), Math.random() * ceiling); // so that pages do not come back all at once
    this.#become('closed');
  }

  /** drop lets go of the socket: nothing that it still has to say is heard. */
  #drop() {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
    this.#askedAt = 0;
  }

  #ask() {
    this.#askedAt = performance.now();
    this.#send('skipped?');
  }

  /** tick asks once a second what was skipped, and notices a connection that died without a word. */
  #tick() {
    const now = performance.now();
    if (now - this.#tickedAt > ASLEEP) this.#heardAt = now;
    this.#tickedAt = now;
    if (this.state !== 'open') return;
    if (now - this.#heardAt > SILENCE) this.#lost();
    else if (this.#askedAt === 0 || now - this.#askedAt > SILENCE) this.#ask(); // an answer may be skipped, too
  }
}
