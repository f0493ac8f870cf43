// A card shows one symbol. Prices only mark it; it is drawn with the others, a few times a second.

const SHOWN = 6_000; // ms that a line covers
const TICK = 50; // ms between two prices that the server makes
const MARGIN = 6; // px above and below the line
const FLATTEST = 0.002; // of the price: a line of less does not look like a mountain

export class Card {
  points = []; // {price, number, time in ms, follows: whether it is the price behind the one before}, oldest first
  broken = false; // what comes next does not follow
  subscription = null; // the last one, whose position is where to go on
  inView = false;
  visible = false; // in view, and subscribed to
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

  /** add takes a price and its number in the topic. */
  add(price, number) {
    const { points } = this, now = performance.now();
    points.push({ price, number, time: now, follows: !this.broken && number === points.at(-1)?.number + 1, begins: this.broken });
    this.broken = false;
    // Prices that come in less time than they are made in were missed, and come later: they get the times at which they were made.
    for (let i = points.length - 1; i > 0 && !points[i].begins; i--) {
      const latest = points[i].time - (points[i].number - points[i - 1].number) * TICK;
      if (points[i - 1].time <= latest) break;
      points[i - 1].time = latest;
    }
    // Where a line begins, a point is needed that is older.
    while (points.length > 1 && (points[1].follows ? points[1] : points[0]).time < now - SHOWN) points.shift();
    this.dirty = true;
  }

  /** cut leaves a hole in the line: prices are missing, and do not come any more. */
  cut() {
    this.broken = true;
  }

  showPrice() {
    const first = this.points[0].price, last = this.points.at(-1).price;
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
    const { points } = this, now = performance.now(), last = points.at(-1);
    let low = Math.min(...points.map(({ price }) => price)), high = Math.max(...points.map(({ price }) => price));
    const missing = Math.max(0, last.price * FLATTEST - (high - low)) / 2;
    [low, high] = [low - missing, high + missing];
    const x = (time) => w - ((now - time) * w) / SHOWN;
    const y = (price) => h - MARGIN - ((price - low) / (high - low)) * (h - 2 * MARGIN);

    const lines = []; // between two of them, prices are missing
    points.forEach(({ price, time, follows }, i) => {
      if (i === 0 || !follows) lines.push([]);
      lines.at(-1).push([x(time), y(price)]);
    });
    if (!this.broken) lines.at(-1).push([w + 1, y(last.price)]); // it still costs that
    c.lineWidth = 1.5;
    c.lineJoin = c.lineCap = 'round';
    c.strokeStyle = c.fillStyle = colours[this.change.className];
    for (const line of lines) {
      const [[left], [right, end]] = [line[0], line.at(-1)];
      c.beginPath();
      for (const point of line) c.lineTo(...point);
      c.lineTo(right + 0.1, end); // or one price alone would not be seen
      c.globalAlpha = 1;
      c.stroke();
      c.lineTo(right, h);
      c.lineTo(left, h);
      c.globalAlpha = 0.1;
      c.fill();
    }
    c.globalAlpha = 1;
  }
}
