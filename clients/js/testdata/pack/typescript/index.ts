import { Tank, type Position } from "tank-websocket";
import { FakeTank } from "tank-websocket/testing";

interface News { text: string }

const server = new FakeTank({ history: 10 });
const tank = new Tank<{ news: News }>("ws://fake", { WebSocket: server.WebSocket });
const news = tank.subscribe("news", {
  onMessage: ({ data }) => {
    const position: Position | undefined = news.position;
    console.log(data.text, position?.[1]);
    tank.close();
  },
  onJoin: () => void server.publish("news", { text: "Rain" }),
});
// @ts-expect-error: no such topic
tank.publish("weather", "Snow").catch(() => {});
