// The contender "bun": Bun.serve with ws.subscribe and server.publish, as its documentation has it, and the same control
// endpoints as package control. JavaScript has one thread, so "publishers" makes no difference but in the numbering.
const { values } = require("node:util").parseArgs({
  options: {
    queue: { type: "string" },
    "queue-bytes": { type: "string" },
    message: { type: "string" },
    compression: { type: "boolean", default: false },
  },
});

let subscriptions = 0;
let dropped = 0;
let received = 0;
const compress = values.compression;
const queueBytes = Number(values["queue-bytes"] ?? 0);

const subscribers = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compress,
    ...(queueBytes > 0 && { backpressureLimit: queueBytes }), // a message past it would be dropped
    message(ws, message) {
      if (message.startsWith("sub:")) {
        const topic = message.slice(4);
        if (!ws.isSubscribed(topic)) {
          ws.subscribe(topic);
          subscriptions++;
        }
      } else if (message.startsWith("unsub:")) {
        const topic = message.slice(6);
        if (ws.isSubscribed(topic)) {
          ws.unsubscribe(topic);
          subscriptions--;
        }
      } else {
        received++;
      }
    },
  },
});

// The wall clock in nanoseconds. Date.now has milliseconds; its ticks place the monotonic clock among them.
const wallOffset = (() => {
  let best = Infinity;
  for (let i = 0; i < 10; i++) {
    const before = Date.now();
    let now = before;
    while (now === before) now = Date.now();
    best = Math.min(best, performance.now() - now);
  }
  return best;
})();
const epoch = BigInt(Date.now()) * 1000000n; // so that the rest fits a double exactly
const epochMs = Number(epoch / 1000000n);
// From a time of performance.now().
const wallHex = (at) => {
  const ms = at - wallOffset - epochMs;
  return (epoch + BigInt(Math.round(ms * 1e6))).toString(16).padStart(16, "0");
};

const hex = (n, digits) => n.toString(16).padStart(digits, "0");

// As package payload's Stamper.
function stamper(template, publisher) {
  const at = template.indexOf("~") + 1;
  const stamped = template.startsWith("0".repeat(26), at);
  const escape = (s) => s.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
  const head = escape(template.slice(0, at)) + hex(publisher, 2);
  const tail = escape(template.slice(at + (stamped ? 26 : 10)));
  return (topic, sequence, at = performance.now()) =>
    `{"topic":"${topic}","data":"${head}${hex(sequence, 8)}${stamped ? wallHex(at) : ""}${tail}"}`;
}

function jobOf(query) {
  const job = { topic: query.get("topic") };
  for (const key of ["topics", "n", "publishers", "rate", "window"]) job[key] = Number(query.get(key));
  job.topics = Math.max(1, job.topics);
  job.publishers = Math.max(1, job.publishers);
  job.names = job.topics === 1 ? [job.topic] : Array.from({ length: job.topics }, (_, i) => `${job.topic}-${i}`);
  return job;
}

function publish(topic, message) {
  // 0: dropped; also when the topic has no subscriber, which does not happen here.
  if (subscribers.publish(topic, message, compress) === 0) dropped++;
}

async function publishAll(job, template) {
  const makers = Array.from({ length: job.publishers }, (_, p) => stamper(template, p));
  const send = (i, at) => {
    const topic = job.names[i % job.topics];
    publish(topic, makers[i % job.publishers](topic, i, at));
  };
  const start = performance.now();
  if (job.rate === 0) {
    for (let i = 0; i < job.n; i++) send(i);
  }
  for (let i = 0, ready = start; job.rate > 0 && i < job.n; ) {
    // A message that is late because the event loop was busy counts from when it was due, as in publish.go; ticks of a
    // millisecond, and as much again for being late, are not the server's doing.
    const now = performance.now();
    for (; i < job.n; i++) {
      const at = start + (i * 1000) / job.rate;
      if (at > now) break;
      send(i, Math.min(performance.now(), Math.max(at, ready)));
    }
    ready = performance.now() + 2;
    if (i < job.n) await Bun.sleep(1);
  }
  return { messages: job.n, elapsed_ns: Math.round((performance.now() - start) * 1e6), failed: 0 };
}

let flood = null;

function startFlood(job, template) {
  const make = stamper(template, 0);
  const f = { credit: 0, sent: 0, start: performance.now(), timer: null, stopped: false };
  const slice = 64; // so that the event loop turns
  const step = () => {
    if (f.stopped) return;
    const most = Math.min(f.sent + slice, f.credit + job.window);
    const idle = f.sent === most;
    for (; f.sent < most; f.sent++) publish(job.topic, make(job.topic, f.sent));
    f.timer = idle ? setTimeout(step, 1) : setImmediate(step);
  };
  step();
  return f;
}

const json = (value) => Response.json(value);

const control = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  idleTimeout: 255,
  async fetch(request) {
    const url = new URL(request.url);
    switch (url.pathname) {
      case "/publish":
        return json(await publishAll(jobOf(url.searchParams), await request.text()));
      case "/flood":
        flood = startFlood(jobOf(url.searchParams), await request.text());
        return json({});
      case "/credit":
        if (flood) flood.credit = Math.max(flood.credit, Number(url.searchParams.get("messages")));
        return json({});
      case "/unflood": {
        const f = flood;
        flood = null;
        f.stopped = true;
        return json({ messages: f.sent, elapsed_ns: Math.round((performance.now() - f.start) * 1e6), failed: 0 });
      }
      case "/settle":
        Bun.gc(true);
        return json({});
      case "/stats":
        return json({ subscriptions, dropped, received });
    }
    return new Response("no such endpoint", { status: 404 });
  },
});

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
console.log(
  JSON.stringify({ subscribers: `127.0.0.1:${subscribers.port}`, control: `127.0.0.1:${control.port}` }),
);
