// The frames of tank.v2: docs/protocol-v2.md.
import type { Position } from "./types.js";

export interface Here {
  n: number;
  in?: Record<string, unknown>;
  out?: string[];
}

export interface Fault {
  code: string;
  message: string;
  retry: boolean;
}

/** What a `sub` is answered with. */
export interface Subscribed {
  epoch: string;
  seq: number;
  from?: number;
  recovered?: boolean;
  why?: string;
  here?: Here;
}

export interface Hello {
  client: string;
  user: string;
  ping: number;
}

/** Any frame that is an object. Members of different frames never come together. */
export interface Frame {
  hello?: Hello;
  bye?: { code: number; within: number };
  id?: number;
  ok?: any;
  error?: Fault;
  topic?: string;
  lost?: number;
  seq?: number;
  gap?: { seq: number };
  reset?: { epoch: string; seq: number };
  end?: Fault;
  here?: Here;
  msg?: unknown;
  interrupted?: boolean;
  expires?: number;
}

export interface Details {
  from?: string;
  prev?: number;
}

export type Publication = [topic: string, seq: number, data: unknown, details?: Details];

/** A command without its id. Members that are undefined are not sent. */
export interface Command {
  sub?: string;
  since?: Position | undefined;
  last?: number | undefined;
  presence?: true | undefined;
  unsub?: string;
  pub?: string;
  data?: unknown;
  key?: string;
  msg?: unknown;
  auth?: string;
}

/** Takes the answer to a command: one of both. */
export type Answer = (ok: any, error?: Fault) => void;
