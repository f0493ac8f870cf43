// The connection to the server. It belongs to a name: another name is another connection, which goes on where the last one was.

import { Tank } from '../tank.js';

export class Connection {
  retryAt = 0; // ms, as Date.now() counts: when the state "waiting" ends
  #tank;
  #handlers;
  #subscriptions = new Map(); // topic -> {options, subscription}

  /** The handlers are those of a Tank: onState(state, info) and onMessage(data). */
  constructor(name, handlers) {
    this.#handlers = handlers;
    this.#connect(name);
  }

  get state() { return this.#tank.state; }

  /** subscribe is that of a Tank. */
  subscribe(topic, options) {
    const onEnd = (error) => {
      if (error.code === 'closed') return; // all are ended, and rename may bring them back
      this.#subscriptions.delete(topic);
      options.onEnd?.(error);
    };
    const subscription = this.#tank.subscribe(topic, { ...options, onEnd });
    this.#subscriptions.set(topic, { options, subscription });
  }

  unsubscribe(topic) {
    this.#subscriptions.get(topic)?.subscription.close();
    this.#subscriptions.delete(topic);
  }

  publish(topic, data, options) { return this.#tank.publish(topic, data, options); }

  retry() { this.#tank.connect(); }

  rename(name) {
    this.#tank.close();
    this.#connect(name);
    for (const [topic, { options, subscription }] of this.#subscriptions) {
      subscription.close(); // or it would hand on what the new one gets, too
      this.subscribe(topic, { ...options, since: subscription.position });
    }
    this.#handlers.onState(this.state, {});
  }

  #connect(name) {
    const tank = this.#tank = new Tank(`ws?${new URLSearchParams({ user_id: name })}`, {
      onState: (state, info) => {
        if (tank !== this.#tank) return;
        if (state === 'waiting') this.retryAt = Date.now() + info.delay;
        this.#handlers.onState(state, info);
      },
      onMessage: this.#handlers.onMessage,
    });
  }
}
