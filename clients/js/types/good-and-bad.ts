// What compiles, and what does not. The package is imported by its name, so the declarations in dist are checked.
import { Tank, TankError, type Message, type Position, type Subscription } from "tank-websocket";
import { FakeTank } from "tank-websocket/testing";

interface News { title: string }
interface Chat { text: string }
interface Topics {
  news: News;
  [room: `chat:${string}`]: Chat;
}

const tank = new Tank<Topics>("/ws", { token: async () => "abc", onState: (state, info) => console.log(state === "waiting" ? info.delay : state) });

// Topics have types, by name and by template.
tank.subscribe("news", { onMessage: ({ data, seq, from }) => console.log(data.title, seq.toFixed(), from?.length) });
const room: Subscription<Chat> = tank.subscribe("chat:42", { since: ["E", 1], last: 5, presence: true, gaps: "report" });
const at: Position | undefined = room.position;
const n: number | undefined = room.presence?.n;
tank.subscribe("chat:1", { since: JSON.parse("null") as Position | null, signal: AbortSignal.timeout(1_000) });
for await (const message of tank.subscribe(`chat:${n}`)) console.log(message.data.text satisfies string, (message satisfies Message<Chat>).topic);
(await tank.publish("chat:42", { text: "hi" }, { key: "k" })).seq satisfies number | undefined;
(await tank.request<{ title: string }>({ state: "news" })).title satisfies string;
(await tank.request(1)) satisfies unknown;
tank.send(new Uint8Array(1)) satisfies boolean;

// @ts-expect-error: no such topic
tank.subscribe("weather");
// @ts-expect-error: a template that does not fit
tank.subscribe("chat-42");
// @ts-expect-error: a chat is no news
tank.subscribe("news", { onMessage: ({ data }) => data.text });
// @ts-expect-error: what is published has the topic's type
tank.publish("news", { text: "hi" });
// @ts-expect-error: no such way to treat gaps
tank.subscribe("news", { gaps: "heal" });
// @ts-expect-error: a position is an epoch and a number
tank.subscribe("news", { since: 5 });
// @ts-expect-error: there is no such option
new Tank("/ws", { tokens: "abc" });
// @ts-expect-error: positions are read, not written
room.position = ["E", 1];
// @ts-expect-error: what is internal is not declared
room._waiting;
// @ts-expect-error: the answer of a request is unknown
(await tank.request(1)).title;

// Without types, topics have any name, and their data is unknown.
const free = new Tank(new URL("wss://example.test/ws"));
free.subscribe("anything", {
  onMessage: ({ data }) => {
    // @ts-expect-error: unknown
    data.title;
  },
  onEnd: (error) => error satisfies TankError,
  onGap: ({ why, from, to, missed }) => console.log(why, from[1], to[0], missed),
});
free.publish("anything", [1, null]);

const server = new FakeTank({ history: 5, refuse: (verb, topic) => (verb === "pub" ? topic : undefined) });
new Tank("ws://fake", { WebSocket: server.WebSocket });
server.publish("news", { title: "Rain" }) satisfies number;
server.position("news") satisfies Position;
// @ts-expect-error: a topic has a name
server.lose(3);
