// Components that React mounts, unmounts and mounts again, because of StrictMode.
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { Tank } from "/tank.js";

const got = { own: [], kept: [], shared: [] };
const effects = { own: 0, kept: 0, shared: 0 };
const joined = new Set();
const options = (name) => ({ onMessage: ({ data }) => got[name].push(data), onJoin: () => joined.add(name) });

// Own has a connection of its own, made and closed in the effect.
function Own() {
  useEffect(() => {
    effects.own++;
    const tank = new Tank("/ws?user=own");
    tank.subscribe("stream", options("own"));
    return () => tank.close();
  }, []);
}

// Kept closes a connection that was there before, and takes that back.
const kept = new Tank("/ws?user=kept");
function Kept() {
  useEffect(() => {
    effects.kept++;
    kept.subscribe("stream", options("kept"));
    return () => kept.close();
  }, []);
}

// Shared has a subscription of its own on the connection of the page.
const page = new Tank("/ws?user=shared");
function Shared() {
  useEffect(() => {
    effects.shared++;
    return page.subscribe("stream", options("shared")).close;
  }, []);
}

const root = createRoot(document.body.appendChild(document.createElement("main")));
root.render(
  <StrictMode>
    <Own />
    <Kept />
    <Shared />
  </StrictMode>,
);
Object.assign(window, { got_: got, effects_: effects, joined_: joined, states_: () => [kept.state, page.state], unmount_: () => root.unmount() });
