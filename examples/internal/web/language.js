// The texts of a small page, in English and Chinese.

const stored = {
  get() { try { return localStorage.getItem("tank.lang"); } catch { return null; } },
  set(language) { try { localStorage.setItem("tank.lang", language); } catch { /* not remembered */ } },
};

/**
 * speak fills in the texts that stand in the page, and again when the element #language is clicked: data-i18n is the key of a
 * text, data-i18n-label that of an accessible name. words are {en: {key: text}, zh: {key: text}}; "title" is the page's title
 * and "language" the name of the other language. It returns t, which looks a text up; draw is called for what t was used for.
 */
export function speak(words, draw = () => {}) {
  let language = stored.get() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  if (!words[language]) language = "en";
  const t = (key) => words[language][key];
  const button = document.getElementById("language");
  const show = () => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    document.title = t("title");
    for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
    for (const node of document.querySelectorAll("[data-i18n-label]")) node.ariaLabel = node.placeholder = t(node.dataset.i18nLabel);
    button.textContent = t("language");
    button.lang = language === "zh" ? "en" : "zh-CN";
    draw();
  };
  button.onclick = () => {
    language = language === "zh" ? "en" : "zh";
    stored.set(language);
    show();
  };
  queueMicrotask(show); // when draw can use t
  return t;
}
