/** A place in a topic: the epoch, which names the numbering, and the number of the last message that was seen. It can be stored as JSON. */
export type Position = readonly [epoch: string, seq: number];
/** "open" is after the server's hello; "waiting" is before the next attempt; "closed" is for good. */
export type State = "connecting" | "open" | "waiting" | "closed";
/** Why the state is what it is. */
export interface StateInfo {
    /** The close code with which the last connection ended; 1006 when it was lost, or could not be opened. */
    code?: number;
    /** The text beside the close code. */
    reason?: string;
    /** In the state "waiting": milliseconds until the next attempt. */
    delay?: number;
}
/** A message of a topic. */
export interface Message<T = unknown> {
    topic: string;
    data: T;
    /** The number of the message; 0 for a message to this client alone. */
    seq: number;
    /** The position behind this message, to be stored by who handles messages later than they arrive. */
    position: Position | undefined;
    /** The user id of the client that published it, if the server has checked who that is. */
    from: string | undefined;
}
/** The subscription is in force on a connection: the first, or a new one after a loss. */
export interface Join {
    position: Position;
    /** The number of the last message that is replayed: those with larger numbers are new. */
    until: number;
    /** Everything behind the earlier position follows. False: load the current state. It is false without an earlier position, too. */
    recovered: boolean;
    /** Why messages are missing, such as "evicted"; undefined without an earlier position. */
    why: string | undefined;
}
/** Messages are missing and will not come, although the connection was there. */
export interface Gap {
    /** "lost": the server dropped them; "jump" and "gap": seen, and not healed; else the server's word, such as "epoch" or "evicted". */
    why: string;
    /** The position before, and behind, what is missing. */
    from: Position;
    to: Position;
    /** How many are missing, where that is known. */
    missed: number | undefined;
}
/** Who is in a topic. */
export interface Presence {
    /** How many users. */
    n: number;
    /** The users and what the server says of them. Empty when there are too many to list. */
    users: ReadonlyMap<string, unknown>;
}
/** What a presence frame has changed. */
export interface PresenceChange {
    in: readonly string[];
    out: readonly string[];
}
/** What to do when numbers are missing: ask the server for them; say so and go on; go on. */
export type Gaps = "recover" | "report" | "ignore";
export interface SubscribeOptions<T = unknown> {
    /** Begin behind this position. */
    since?: Position | null | undefined;
    /** Begin with up to so many of the last messages, also when `since` is not recovered. */
    last?: number | undefined;
    /** Watch who is in the topic. */
    presence?: boolean | undefined;
    /** "recover" by default. */
    gaps?: Gaps | undefined;
    /** Ends the subscription. */
    signal?: AbortSignal | undefined;
    onMessage?: ((message: Message<T>) => void) | undefined;
    onJoin?: ((join: Join) => void) | undefined;
    onGap?: ((gap: Gap) => void) | undefined;
    onPresence?: ((presence: Presence, change: PresenceChange) => void) | undefined;
    /** The subscription was refused, or the server has ended it, or the connection is closed for good. */
    onEnd?: ((error: TankError) => void) | undefined;
}
export interface CallOptions {
    /** Ends the wait for the answer. What was sent stays sent. */
    signal?: AbortSignal | undefined;
}
export interface PublishOptions extends CallOptions {
    /** The `key` of the error with which an earlier attempt failed. */
    key?: string | undefined;
}
export interface Published {
    /** The number of the message; undefined when nobody was there. */
    seq?: number;
    /** The message was published by an earlier attempt. */
    duplicate?: boolean;
}
/** The part of a WebSocket that is used. */
export interface WebSocketLike {
    binaryType: string;
    readonly protocol: string;
    readonly readyState: number;
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send(data: any): void;
    close(code?: number): void;
}
export interface TankOptions {
    /** The token, or a function that is called before each attempt and when the server says that the token expires. */
    token?: string | (() => string | null | undefined | Promise<string | null | undefined>) | undefined;
    /** The class to make sockets of, where there is no global one, as in Node 20. */
    WebSocket?: (new (url: string, protocols: string[]) => WebSocketLike) | undefined;
    /** Called after each change of the state, and when `interrupted` changes. */
    onState?: ((state: State, info: StateInfo) => void) | undefined;
    /** What the application sends outside topics: a string, other JSON, or an ArrayBuffer. */
    onMessage?: ((data: unknown) => void) | undefined;
    /** What a handler has thrown, and errors that answer nothing. By default they are reported as uncaught, or on the console. */
    onError?: ((error: unknown) => void) | undefined;
    /** Whether to connect again after a close code of the application, 4000 to 4999. By default not. */
    reconnect?: ((code: number, reason: string) => boolean) | undefined;
}
/** The names of topics, or templates of them. */
export type TopicName<Topics> = Extract<keyof Topics, string>;
/**
 * Why something failed. The code is the server's, such as "forbidden" and "busy", or one of these:
 * "offline", nothing was sent; "lost", the connection ended before the answer, so it may have happened; "closed", for good.
 */
export declare class TankError extends Error {
    readonly code: string;
    /** The same can succeed later. */
    readonly retry: boolean;
    /** Of a publication: repeat it with this key, and it is published once. */
    readonly key?: string | undefined;
    name: string;
    constructor(code: string, message: string, 
    /** The same can succeed later. */
    retry: boolean, 
    /** Of a publication: repeat it with this key, and it is published once. */
    key?: string | undefined);
}
/**
 * Subscription is one of maybe several to a topic. Each has its own position and ends alone.
 *
 * As an async iterable it hands on the messages from the beginning of the loop on; leaving the loop closes the subscription. The loop
 * ends when the subscription is closed, and throws when the subscription was refused or the server has ended it.
 */
export declare class Subscription<T = unknown> implements AsyncIterable<Message<T>> {
    #private;
    get topic(): string;
    /** The number of the last message that was handed on, with its epoch. Undefined until the first answer, unless `since` was given. */
    get position(): Position | undefined;
    /** Who is in the topic, if that was asked for and answered. */
    get presence(): Presence | undefined;
    get closed(): boolean;
    /** Ends this subscription: no handler is called any more. The server is told one task later, if no other one wants the topic by then. */
    readonly close: () => void;
    [Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, void>;
}
/**
 * Tank is a connection to a tank server that comes back after each loss, and then gets what it has missed.
 *
 * `Topics` says what messages topics have, by name or by template: `{ news: News; [room: `chat:${string}`]: Chat }`.
 */
export declare class Tank<Topics extends object = Record<string, unknown>> {
    #private;
    /** The server has lost its way to others: what is published meanwhile comes late, or is told as a gap. */
    interrupted: boolean;
    /** @param url may be relative to the page, and begin with http. */
    constructor(url: string | URL, options?: TankOptions);
    get state(): State;
    /** The id of the connection, while it is open. */
    get client(): string | undefined;
    /** The user id that the server has for this client, while it is open. */
    get user(): string | undefined;
    /** Subscribes, now and on each new connection. Several subscriptions to one topic share one on the wire. It takes back a `close()` of the same task. */
    subscribe<Name extends TopicName<Topics>>(name: Name, options?: SubscribeOptions<Topics[Name]>): Subscription<Topics[Name]>;
    /**
     * Publishes any JSON. It never waits for a connection. When it fails with a `key` and with `retry`, publish again with that key:
     * the message is published once, whether or not the first attempt arrived.
     */
    publish<Name extends TopicName<Topics>>(name: Name, data: Topics[Name], options?: PublishOptions): Promise<Published>;
    /** Asks the application, whose answer is any JSON. */
    request<Result = unknown>(data: unknown, options?: CallOptions): Promise<Result>;
    /** Sends a message to the application, JSON or bytes, without an answer. It is false, and nothing is sent, while there is no connection. */
    send(data: unknown): boolean;
    /** Ends a wait: the next attempt begins at once. An open connection has to show within 5 s that it is alive. For a button "retry now". */
    connect(): void;
    /** Ends all subscriptions at once, and closes the connection for good, one task later, unless something is subscribed to by then. */
    close(): void;
}
