// The same for programs that require the package.
import tank = require("tank-websocket");
import testing = require("tank-websocket/testing");

const server = new testing.FakeTank();
const { position } = new tank.Tank<{ news: string }>("ws://fake", { WebSocket: server.WebSocket }).subscribe("news");
position satisfies tank.Position | undefined;
// @ts-expect-error: no such topic
new tank.Tank<{ news: string }>("ws://fake").publish("weather", "rain");
