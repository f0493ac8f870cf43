// What one is called, and the dialog to change it.

import { $, paintAvatar, setText } from './dom.js';
import { randomName, t } from './i18n.js';
import { recall, remember } from './prefs.js';

/** initialName is the one in the address (?name=, for a second window), the remembered one, or a new one. */
export function initialName() {
  const asked = new URLSearchParams(location.search).get('name')?.trim();
  if (asked) return [...asked].slice(0, 40).join('');
  const known = recall('name')?.trim();
  if (known) return known;
  const name = randomName();
  remember('name', name);
  return name;
}

/** nameView draws the name and lets it be changed: changed(name) is called with a new one. */
export function nameView(current, changed) {
  const dialog = $('name-dialog');
  const field = $('name-field');

  $('profile').addEventListener('click', () => {
    field.value = current();
    dialog.showModal();
    field.select();
  });
  $('name-random').addEventListener('click', () => {
    field.value = randomName();
    field.focus();
  });
  $('name-cancel').addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (e) => { if (e.target === dialog) dialog.close(); });
  $('name-form').addEventListener('submit', (e) => {
    e.preventDefault();
    const name = field.value.trim();
    if (!name) return;
    dialog.close();
    if (name === current()) return;
    remember('name', name);
    changed(name);
  });

  function draw() {
    paintAvatar($('profile-avatar'), current());
    setText($('profile-name'), current());
    $('profile').setAttribute('aria-label', t('changeName', current()));
    $('profile').title = t('changeName', current());
  }
  return { draw };
}
