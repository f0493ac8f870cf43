// What the browser remembers for this page. Storage can be switched off; then nothing is remembered, and all else works.

const prefix = 'tank.';

export function recall(key) {
  try { return localStorage.getItem(prefix + key); } catch { return null; }
}

export function remember(key, value) {
  try { localStorage.setItem(prefix + key, value); } catch { /* not remembered */ }
}

/** recallList returns a list of strings, or null when there is none worth the name. */
export function recallList(key) {
  try {
    const list = JSON.parse(recall(key));
    return Array.isArray(list) && list.every((s) => typeof s === 'string') ? list : null;
  } catch {
    return null;
  }
}
