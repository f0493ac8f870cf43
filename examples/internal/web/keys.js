// While an input method composes, as for Chinese, Enter and Escape choose and cancel candidates. They are not meant for the
// page: a form is not sent, a dialog not closed, a search field not emptied.

/** composes says whether a key event belongs to an input method. Safari ends the composition before it tells of the key. */
export const composes = (event) => event.isComposing || event.keyCode === 229;

addEventListener("keydown", (event) => {
  if (composes(event) && (event.key === "Enter" || event.key === "Escape")) event.preventDefault();
}, true);

/** onText calls changed when the text of a field has changed, and not for what an input method has not committed. */
export function onText(field, changed) {
  field.addEventListener("input", (event) => event.isComposing || changed());
  field.addEventListener("compositionend", () => changed());
}
