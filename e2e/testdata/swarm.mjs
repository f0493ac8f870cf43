// So many clients in one process: swarm.mjs URL COUNT. Each line of input is answered with a line of what they have noted up to now.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Tank } from "../../clients/js/dist/tank.js";

const { WebSocket } = createRequire(new URL("../../clients/js/package.json", import.meta.url))("ws");
class Trusting extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { rejectUnauthorized: false });
  }
}

const [url, count] = process.argv.slice(2);
const clients = Array.from({ length: Number(count) }, () => {
  const notes = { States: [], Joins: [], Gaps: 0, Got: [] };
  const tank = new Tank(url, {
    WebSocket: Trusting,
    onState: (state, { code = 0, delay = 0 }) => notes.States.push({ State: state, Code: code, Delay: delay, At: performance.now() }),
  });
  tank.subscribe("stream", {
    onMessage: ({ data }) => notes.Got.push(data),
    onJoin: ({ position: [epoch], recovered, why = "" }) => notes.Joins.push({ Epoch: epoch, Recovered: recovered, Why: why }),
    onGap: () => notes.Gaps++,
  });
  return notes;
});
for await (const _ of createInterface(process.stdin)) console.log(JSON.stringify(clients));
process.exit();
