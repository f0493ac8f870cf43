import type { Frame, Hello, Publication } from "./frames.js";
import type { Guard } from "./guard.js";
import type { State, StateInfo, TankOptions, WebSocketLike } from "./types.js";

const HANDSHAKE = 10_000; // ms from the beginning of an attempt to hello
const GRACE = 10_000; // ms of silence beyond the server's heartbeat
const ANSWER = 5_000; // ms of GRACE that are left for the answer to a probe
const STABLE = 10_000; // ms that a connection has to last for the next loss to count as the first
const FIRST = 500; // ms: the ceiling of the first delay
const LONGEST = 20_000; // ms: the ceiling of any delay
const LONGEST_TIMER = 2 ** 31 - 1; // ms
const PROBE = `{"id":${Number.MAX_SAFE_INTEGER},"unsub":""}`; // changes nothing, and is answered

/** backoff returns a random delay below a ceiling that doubles, in ms. */
export const backoff = (tries: number): number => Math.random() * Math.min(LONGEST, FIRST * 2 ** tries);

/**
 * Connection is a socket that is replaced when it is lost. It knows frames and nothing of topics.
 *
 * One timer belongs to the present: the attempt's time limit, the watchdog, or the delay before the next attempt.
 */
export class Connection {
  _state: State = "connecting";
  _hello: Hello | undefined; // of the connection that is open
  #url: string;
  #options: TankOptions;
  #call: Guard;
  #receive: (frame: Frame | Publication | ArrayBuffer) => void;
  #changed: (info: StateInfo) => void;
  #socket: WebSocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0; // counts attempts and losses, so that who waited knows whether it still matters
  #tries = 0; // attempts since a connection has lasted
  #openedAt = 0;
  #probed = false; // and nothing has come since
  #within: number | undefined; // of bye

  constructor(
    url: string | URL,
    options: TankOptions,
    call: Guard,
    receive: (frame: Frame | Publication | ArrayBuffer) => void,
    changed: (info: StateInfo) => void,
  ) {
    this.#url = String(new URL(url, globalThis.location?.href)).replace(/^http/, "ws");
    this.#options = { ...options, WebSocket: options.WebSocket ?? globalThis.WebSocket };
    if (!this.#options.WebSocket) throw new TypeError("there is no WebSocket: pass the option");
    this.#call = call;
    this.#receive = receive;
    this.#changed = changed;
    globalThis.addEventListener?.("online", this.#noticed);
    globalThis.document?.addEventListener("visibilitychange", this.#noticed);
    this.#connect();
  }

  /** _send sends a frame. It is false, and nothing is sent, while there is no connection. */
  _send(data: unknown): boolean {
    const sends = this._state === "open" && this.#socket!.readyState === 1;
    if (sends) this.#socket!.send(data);
    return sends;
  }

  /** _close takes effect one task later, unless _keep is called before. */
  _close(): void {
    this.#closing ??= setTimeout(() => {
      this.#drop(1000);
      if (this._state !== "closed") this.#end({});
    });
  }

  _keep(): void {
    if (!this.#closing || this._state === "closed") return;
    clearTimeout(this.#closing);
    this.#closing = undefined;
    if (this._state === "connecting" && !this.#socket) this.#connect();
  }

  /** _hurry ends a wait; an open connection has to show that it is alive. */
  _hurry(): void {
    if (this._state === "waiting") {
      this.#tries = 0; // a network that has just come back may lose the first attempt
      this.#connect();
    } else if (this._state === "open") this.#probe();
  }

  // The network is back, or the page is looked at.
  #noticed = ({ type }: { type: string }): void => {
    if (type === "online" || !document.hidden) this._hurry();
  };

  async #connect(): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    this.#after(HANDSHAKE, () => this.#lost(1006, "no answer to the handshake"));
    if (this._state !== "connecting") this.#become("connecting", {});
    try {
      const { token, WebSocket } = this.#options;
      const fresh = await (typeof token === "function" ? token() : token);
      if (attempt !== this.#attempt || this.#closing) return;
      const socket = new WebSocket!(this.#url, fresh ? ["tank.v2", "bearer." + fresh] : ["tank.v2"]);
      this.#socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        if (socket.protocol !== "tank.v2") this.#lost(1002, "the server does not speak tank.v2");
      };
      socket.onmessage = ({ data }) => this.#call(() => this.#received(data));
      socket.onclose = ({ code, reason }) => this.#lost(code, reason);
      socket.onerror = () => { // of a handshake that fails, Node 22 says no more; later, the close event has the code
        if (!this._hello) this.#lost(1006, "");
      };
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(1006, String(error));
    }
  }

  #received(data: unknown): void {
    const frame = typeof data === "string" ? JSON.parse(data) : data;
    if (!frame) return;
    if (frame.hello) {
      this._hello = frame.hello;
      this.#openedAt = Date.now();
      this.#become("open", {});
    }
    if (!this._hello) return;
    this.#watch();
    if (frame.bye) this.#within = frame.bye.within;
    this.#receive(frame);
  }

  // Each message renews the time limit, and nothing else does. A computer that slept finds its timers overdue although the server
  // is there, and a page in the background gets them late. So silence leads to a probe, and only its silence to a loss.
  #watch(): void {
    this.#probed = false;
    this.#after(Math.min(this._hello!.ping * 1_000 + GRACE - ANSWER, LONGEST_TIMER), () => this.#probe());
  }

  #probe(): void {
    if (this.#probed) return; // who asks again and again does not put the loss off
    this.#probed = true;
    this._send(PROBE);
    this.#after(ANSWER, () => this.#lost(1006, "the server is silent"));
  }

  #lost(code: number, reason: string): void {
    if (this._hello && Date.now() - this.#openedAt > STABLE) this.#tries = 0;
    const final = this.#isFinal(code, reason); // it may call anything, so the socket is still there
    this.#drop();
    const info: StateInfo = { code, reason };
    if (final) return this.#end(info);
    const within = this.#within;
    this.#within = undefined;
    info.delay = within === undefined ? backoff(this.#tries++) : Math.random() * within;
    this.#after(info.delay, () => this.#connect());
    this.#become("waiting", info);
  }

  #isFinal(code: number, reason: string): boolean {
    if (code >= 4000) return !this.#call(this.#options.reconnect, code, reason);
    return code > 3000 || code === 1000 || code === 1002 || code === 1007;
  }

  // The socket is let go of: what it still has to say, such as its close event 60 s later, is not heard.
  #drop(code?: number): void {
    clearTimeout(this.#timer);
    this.#attempt++;
    this._hello = undefined;
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // without a handler, an error in package ws ends the program
    socket.close(code);
  }

  #end(info: StateInfo): void {
    globalThis.removeEventListener?.("online", this.#noticed);
    globalThis.document?.removeEventListener("visibilitychange", this.#noticed);
    this.#become("closed", info);
  }

  #become(state: State, info: StateInfo): void {
    this._state = state;
    this.#changed(info);
  }

  #after(ms: number, what: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(what, ms);
  }
}
