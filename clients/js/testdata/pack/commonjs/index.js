const { Tank } = require("tank-websocket");
const { FakeTank } = require("tank-websocket/testing");

const server = new FakeTank({ history: 10 });
const tank = new Tank("ws://fake", { WebSocket: server.WebSocket });
const news = tank.subscribe("news", {
  onMessage: ({ data }) => {
    console.log(data.text, news.position[1]);
    tank.close();
  },
  onJoin: () => server.publish("news", { text: "Rain" }),
});
