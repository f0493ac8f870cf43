import { Tank } from "tank-websocket";

new Tank("/ws").subscribe("news", { onMessage: ({ data }) => document.body.append(data.text) });
