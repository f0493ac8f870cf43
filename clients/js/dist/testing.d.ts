import type { Position, WebSocketLike } from "./tank.js";
/** Options of a FakeTank. */
export interface FakeTankOptions {
    /** How many messages each topic keeps; 100 by default. */
    history?: number;
    /** The heartbeat that hello tells, in seconds; 25 by default. No heartbeats are sent. */
    ping?: number;
    /** Answers requests. What it throws is the error; its `code` is "internal" unless it has one. */
    onRequest?: (data: any) => unknown;
    /** Gets messages without an answer: JSON, or bytes. */
    onMessage?: (data: any) => void;
    /** Refuses a subscription, a publication or a renewed token by returning an error code, such as "forbidden" or "busy". */
    refuse?: (verb: "sub" | "pub" | "auth", topicOrToken: string) => string | undefined | void;
}
/** A command of a client, as it was on the wire. */
export interface Received {
    id?: number;
    [member: string]: any;
}
/**
 * FakeTank is a tank.v2 server in memory, with losses on demand. Pass its `WebSocket` to a Tank:
 *
 *     const server = new FakeTank();
 *     const tank = new Tank("ws://fake", { WebSocket: server.WebSocket });
 *
 * Frames arrive in microtasks, each in one of its own.
 */
export declare class FakeTank {
    #private;
    /** The option of a Tank. */
    readonly WebSocket: new (url: string, protocols: string[]) => WebSocketLike;
    /** Whether new connections fail. See `cut` for those that are open. */
    offline: boolean;
    /** Every command that came, with its id. */
    readonly received: Received[];
    constructor(options?: FakeTankOptions);
    /** How many connections are open. */
    get connections(): number;
    /** How many connections are subscribed to a topic. */
    subscribers(name: string): number;
    /** The tokens of the connections that are open: for each the last one that was taken. */
    get tokens(): (string | undefined)[];
    /** Publishes JSON to a topic and returns its number. */
    publish(name: string, data: unknown, from?: string): number;
    /** The position of a topic. */
    position(name: string): Position;
    /** The next publications of a topic are kept, but not sent: a page sees that numbers are missing. */
    lose(name: string, publications: number): void;
    /** Says that publications were dropped, so many before and including the last one. */
    dropped(name: string, publications: number): void;
    /** Says that publications may be missing. */
    gap(name: string): void;
    /** The next commands are carried out, and the connection is cut before their answers. */
    loseAnswers(answers: number): void;
    /** All connections are lost without a close frame. With `offline` they cannot come back either. */
    cut(): void;
    /** All connections are closed with a code. */
    close(code: number, reason?: string): void;
    /** All connections stay, and nothing comes any more, not even a close event. */
    silence(silent?: boolean): void;
    /** The server restarts: it says within which time to come back, in ms, and forgets all topics. */
    restart(within?: number): void;
    /** A topic begins a new numbering. */
    reset(name: string): void;
    /** Ends all subscriptions to a topic. */
    end(name: string, code?: string): void;
    /** Users come to a topic, and others go. */
    here(name: string, comes: Record<string, unknown>, goes?: string[]): void;
    /** A message to all clients outside topics: JSON, or an ArrayBuffer. */
    tell(data: unknown): void;
    /** Any frame, such as `{ expires: 60 }`, to all clients. */
    raw(frame: unknown): void;
}
