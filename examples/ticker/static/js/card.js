// A card shows one symbol. Prices only mark it; it is drawn with the others, a few times a second.

const SHOWN = 6_000; // ms that a line covers
const MARGIN = 6; // px above and below the line
const FLATTEST = 0.002; // of the price: a line of less does not look like a mountain

export class Card {
  values = []; // prices, oldest first
  times = []; // when they came, in ms
  visible = false;
  dirty = false;

  constructor(symbol) {
    this.symbol = symbol;
    this.topic = `price:${symbol}`;
    this.node = document.createElement('article');
    this.node.dataset.testid = 'card';
    this.node.innerHTML = '<h2><span></span><span></span></h2><div class="price">–</div><canvas aria-hidden="true"></canvas>';
    [this.name, this.change] = this.node.querySelectorAll('span');
    this.name.textContent = this.name.title = symbol;
    this.price = this.node.querySelector('.price');
    this.canvas = this.node.querySelector('canvas');
    this.node.card = this;
  }

  add(price) {
    const now = performance.now();
    this.values.push(price);
    this.times.push(now);
    while (this.times[1] < now - SHOWN) { // where the line begins, one is needed that is older
      this.values.shift();
      this.times.shift();
    }
    this.dirty = true;
  }

  /** restart forgets the line: what comes next does not follow it. */
  restart() {
    this.values = [];
    this.times = [];
  }

  showPrice() {
    const first = this.values[0], last = this.values.at(-1);
    const percent = (100 * (last - first)) / first;
    this.price.textContent = last.toFixed(2);
    this.change.textContent = `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(2)} %`;
    this.change.className = percent < 0 ? 'down' : 'up';
    this.dirty = false;
  }

  /** fit gives the canvas as many pixels as the screen has for it. */
  #fit() {
    const { canvas } = this, w = canvas.clientWidth, h = canvas.clientHeight;
    const width = Math.round(w * devicePixelRatio), height = Math.round(h * devicePixelRatio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const c = canvas.getContext('2d');
    c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    c.clearRect(0, 0, w, h);
    return [c, w, h];
  }

  /** drawLine takes the colours of "up" and "down". */
  drawLine(colours) {
    const [c, w, h] = this.#fit();
    const { values, times } = this, now = performance.now(), last = values.at(-1);
    let low = Math.min(...values), high = Math.max(...values);
    const missing = Math.max(0, last * FLATTEST - (high - low)) / 2;
    [low, high] = [low - missing, high + missing];
    const x = (time) => w - ((now - time) * w) / SHOWN;
    const y = (price) => h - MARGIN - ((price - low) / (high - low)) * (h - 2 * MARGIN);

    c.beginPath();
    values.forEach((price, i) => c.lineTo(x(times[i]), y(price)));
    c.lineTo(w + 1, y(last)); // it still costs that
    c.lineWidth = 1.5;
    c.lineJoin = 'round';
    c.strokeStyle = c.fillStyle = colours[this.change.className];
    c.stroke();
    c.lineTo(w + 1, h);
    c.lineTo(x(times[0]), h);
    c.globalAlpha = 0.1;
    c.fill();
    c.globalAlpha = 1;
  }
}
