// The page's texts, in English and Chinese, and which of them is shown.

const words = {
  en: {
    title: 'tank ticker', ticker: 'ticker', filter: 'Filter, e.g. omega', slow: 'Slow link', language: '中文', theme: 'Light or dark',
    slowTitle: 'The server lets 4 KiB a second through to this page, as a slow network would',
    connecting: 'connecting', open: 'live', waiting: 'reconnecting', closed: 'refused',
    subscribed: 'In view, subscribed', of: (n) => `of ${n} symbols`,
    rate: 'Prices received', perSecond: '/s', behind: 'Behind', seconds: 's', skipped: 'Skipped', skippedWhat: 'old prices',
    about: 'Simulated prices, made up by the server 20 times a second. Lines and percentages cover the last 6 seconds. Where prices are missing, a line has a hole.',
    nothing: 'No symbol is called that.',
  },
  zh: {
    title: 'tank 行情', ticker: '行情', filter: '筛选，例如 omega', slow: '慢速网络', language: 'English', theme: '浅色或深色',
    slowTitle: '服务端每秒只向本页放行 4 KiB，如同一条慢速网络',
    connecting: '连接中', open: '实时', waiting: '正在重连', closed: '被拒绝',
    subscribed: '可见即订阅', of: (n) => `共 ${n} 个`,
    rate: '收到的价格', perSecond: ' 条/秒', behind: '落后', seconds: '秒', skipped: '已跳过', skippedWhat: '条旧价格',
    about: '模拟数据：价格由服务端随机生成，每秒 20 次。曲线和涨跌幅都是最近 6 秒的。缺少价格的地方，曲线断开。',
    nothing: '没有这个名称的品种。',
  },
};

/** stored reads and writes what the page remembers, if the browser lets it. */
export const stored = {
  get(key) { try { return localStorage.getItem(`tank.${key}`); } catch { return null; } },
  set(key, value) { try { localStorage.setItem(`tank.${key}`, value); } catch { /* then not */ } },
};

let language = stored.get('lang') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
if (!words[language]) language = 'en';

export const t = (key, ...values) => {
  const entry = words[language][key];
  return typeof entry === 'function' ? entry(...values) : entry;
};

export const number = (n) => n.toLocaleString(document.documentElement.lang);

export function toggleLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  stored.set('lang', language);
}

/** translate fills in the texts that stand in index.html. */
export function translate() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  document.title = t('title');
  for (const node of document.querySelectorAll('[data-i18n]')) node.textContent = t(node.dataset.i18n);
}
