// Asking the server again and again, while somebody looks: one request at a time, none while the tab is hidden, and less
// often while nobody answers.

let answered = Date.now(); // when the server did last
const listeners = new Set();

/** onAnswer is told, whenever there is news, for how many seconds nobody has answered: 0 when somebody did. */
export function onAnswer(listener) { listeners.add(listener); }

function tell(ok) {
  if (ok) answered = Date.now();
  for (const listener of listeners) listener(ok ? 0 : Math.max(1, Math.round((Date.now() - answered) / 1000)));
}

class Refusal extends Error {
  constructor(status, problem) {
    super(problem?.message ?? `status ${status}`);
    this.status = status;
  }
}

async function ask(url, signal) {
  const here = location.origin + location.pathname; // without a password in the address, which fetch would not take
  const response = await fetch(new URL(url, here), { signal, cache: 'no-store', headers: { Accept: 'application/json' } });
  const isJSON = response.headers.get('Content-Type')?.startsWith('application/json');
  const body = isJSON ? await response.json() : null;
  if (!isJSON || response.status >= 500) throw new Error(`status ${response.status}`);
  if (!response.ok) throw new Refusal(response.status, body.error);
  return body;
}

/**
 * poll asks url() every so many milliseconds and gives what comes to show, or a refusal (an answer with status 4xx) to
 * refuse. It returns {again, stop}: again asks at once, stop asks no more.
 */
export function poll(url, every, show, refuse) {
  let timer, controller, stopped = false, failures = 0;
  async function round() {
    clearTimeout(timer);
    controller?.abort();
    if (stopped || document.hidden) return;
    const mine = controller = new AbortController();
    const patience = setTimeout(() => mine.abort(), 10_000);
    try {
      const value = await ask(url(), mine.signal);
      if (controller !== mine || stopped) return;
      failures = 0;
      tell(true);
      show(value);
    } catch (error) {
      if (controller !== mine || stopped) return;
      if (error instanceof Refusal) {
        failures = 0;
        tell(true);
        refuse(error);
      } else {
        failures++;
        tell(false);
      }
    } finally {
      clearTimeout(patience);
    }
    timer = setTimeout(round, failures ? Math.min(8000, every * 2 ** Math.min(failures, 3)) : every);
  }
  const onVisible = () => { if (!document.hidden) round(); };
  document.addEventListener('visibilitychange', onVisible);
  round();
  return {
    again: round,
    stop() {
      stopped = true;
      clearTimeout(timer);
      controller?.abort();
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}
