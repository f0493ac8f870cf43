import { setText } from './dom.js';
import { recall, remember } from './prefs.js';

const words = {
  en: {
    title: 'tank inspector', skip: 'Skip to the content', inspector: 'inspector', overview: 'Overview', clients: 'Clients', otherLanguage: '中文',
    theme: 'Light or dark', topics: 'Topics', topic: 'Topic', client: 'Client', subscribers: 'Subscribers', users: 'Who is there', members: 'Subscribers',
    state: { new: 'not started', running: 'running', draining: 'shutting down: draining', closing: 'shutting down', closed: 'ended' },
    up: (d) => `running for ${d}`, away: (s) => `no answer for ${s} s, trying again`,
    newNote: 'The instance has not been started. Requests wait up to 2 s for Start and are then answered with 503.',
    closedNote: 'The instance has been shut down. What it counted stays; nothing will be added.',
    brokerDown: 'There is no connection to the broker: nothing comes from other processes, and nothing can be published here.',
    brokerGaps: (n) => `Topics may have missed something on the way from the broker: ${n} times.`,
    messagesOut: 'Messages out', messagesIn: 'Messages in', bytesOut: 'Bytes out', perSecond: '/s', peak: (v) => `peak ${v}`,
    total: (v) => `${v} in all`, topicsOf: (v) => `${v} topics`,
    dropped: 'Dropped', evicted: 'Evicted', panics: 'Panics', eventsDropped: 'Events dropped', refused: 'Refused', throttled: 'Throttled',
    outbox: 'Outbox', outboxes: 'In outboxes', bytesIn: 'Bytes in',
    hint: {
      dropped: 'Messages for a client that were never written to its socket',
      evicted: 'Clients that were disconnected because too many bytes were queued for them',
      panics: 'Panics of callbacks and actors that were survived',
      events_dropped: 'Events that were dropped because Errors, ConnEvents or the logger was full',
      refused: 'Requests that did not become a connection',
      throttled: 'Messages from clients that had to wait for the rate limit',
      outbox_memory: 'Memory of the queued bytes of all clients',
      bytes_in: 'Received from clients',
      history_memory: 'Memory of the messages that topics keep',
      recovered: 'Clients that came back and missed nothing',
      missed: 'Clients that came back and were told that messages may be missing',
      requests_failed: 'Calls of the request handler that were answered with an error',
      lingering_topics: 'Topics without subscribers that live on for a while',
      present: 'Users in topics that know who is in them, counted once for each topic',
    },
    writeLatency: 'Publish to write', batchMessages: 'Messages per batch', outboxBytes: 'Outbox of a client',
    p50: 'half within', p99: '99 % within', none: 'nothing in the last minute',
    name: 'Name', rate: 'Rate', delivered: 'Delivered', mailbox: 'Mailbox', restarts: 'Restarts', age: 'Age', published: 'Published',
    lastPublished: 'Last message', never: 'never', user: 'User', id: 'Id', address: 'Address', subscriptions: 'Subscriptions', rtt: 'Round trip',
    lastSeen: 'Last seen', connected: 'Connected', closing: 'Closing', open: 'open', isClosing: 'closing', status: 'Status', unknown: '–',
    filterTopics: 'Filter by name   /', filterClients: 'Filter by user, id or address   /',
    first: 'First page', previous: 'Previous page', next: 'Next page', last: 'Last page',
    range: (a, b, n) => `${a}–${b} of ${n}`, nothing: 'none',
    noTopics: 'Nobody subscribes to anything. A topic lives while it has subscribers or keeps messages.', noClients: 'Nobody is connected.',
    protocol: 'Protocol', lag: 'Behind', kept: 'Kept', keptOf: (n, b) => `${n} (${b})`, oldest: 'Oldest kept', position: 'Number', epoch: 'Epoch',
    ofV2: 'Of them, tank.v2', lingers: 'lingers', crowd: (n) => `${n} users: too many to name them.`, noMembers: 'Nobody subscribes to this topic now.',
    behind: (n) => `${n} behind`, standsAt: (at, of) => `at ${at} of ${of}`,
    historyMemory: 'Kept by topics', recovered: 'Recovered', missed: 'Missed messages', requestsFailed: 'Failed requests', lingering: 'Lingering', present: 'Present',
    requestLatency: 'Request handler',
    noMatch: (q) => `Nothing has “${q}” in it.`, beyond: 'There is nothing on this page any more.',
    topicGone: 'Nobody subscribes to this topic now. The page goes on when somebody does.',
    clientGone: 'This client is not connected any more.', noSubscriptions: 'It is subscribed to nothing.',
    more: (n) => `and ${n} more`, ago: (d) => `${d} ago`, loading: 'Asking …',
    units: { ms: 'ms', s: 's', min: 'min', h: 'h', d: 'd' },
  },
  zh: {
    title: 'tank 检查器', skip: '跳到内容', inspector: '检查器', overview: '概览', clients: '客户端', otherLanguage: 'English',
    theme: '浅色或深色', topics: '主题', topic: '主题', client: '客户端', subscribers: '订阅者', users: '谁在其中', members: '订阅者',
    state: { new: '尚未启动', running: '运行中', draining: '正在关闭：分批断开', closing: '正在关闭', closed: '已结束' },
    up: (d) => `已运行 ${d}`, away: (s) => `${s} 秒没有响应，正在重试`,
    newNote: '实例尚未启动。请求最多等待 Start 2 秒，之后以 503 应答。',
    closedNote: '实例已关闭。计数保留，不再增加。',
    brokerDown: '与 broker 没有连接：其他进程的消息到不了这里，这里也不能发布。',
    brokerGaps: (n) => `从 broker 来的路上，主题可能缺了消息：${n} 次。`,
    messagesOut: '发出消息', messagesIn: '收到消息', bytesOut: '发出字节', perSecond: '/秒', peak: (v) => `峰值 ${v}`,
    total: (v) => `共 ${v}`, topicsOf: (v) => `${v} 个主题`,
    dropped: '丢弃', evicted: '驱逐', panics: 'panic', eventsDropped: '丢弃事件', refused: '拒绝', throttled: '限流',
    outbox: '发件箱', outboxes: '发件箱合计', bytesIn: '收到字节',
    hint: {
      dropped: '本应发给客户端、却从未写入其套接字的消息', evicted: '因积压过多而被断开的客户端', panics: '回调与 actor 中已恢复的 panic',
      events_dropped: 'Errors、ConnEvents 或日志已满而丢弃的事件', refused: '没有成为连接的请求', throttled: '因限流而等待的客户端消息',
      outbox_memory: '所有客户端积压的字节占用的内存', bytes_in: '从客户端收到',
      history_memory: '主题保留的消息占用的内存', recovered: '回来后没有缺消息的客户端', missed: '回来后被告知可能缺消息的客户端',
      requests_failed: '以错误应答的请求处理函数调用', lingering_topics: '没有订阅者、暂时继续存在的主题', present: '在知道“谁在其中”的主题里的用户，每个主题各计一次',
    },
    writeLatency: '从发布到写入', batchMessages: '每批消息数', outboxBytes: '单个客户端的发件箱',
    p50: '一半不超过', p99: '99% 不超过', none: '最近一分钟没有数据',
    name: '名称', rate: '速率', delivered: '投递', mailbox: '信箱', restarts: '重启', age: '存在', published: '发布',
    lastPublished: '最近消息', never: '从未', user: '用户', id: '标识', address: '地址', subscriptions: '订阅', rtt: '往返时间',
    lastSeen: '最近活动', connected: '连接时长', closing: '关闭中', open: '打开', isClosing: '正在关闭', status: '状态', unknown: '–',
    filterTopics: '按名称筛选   /', filterClients: '按用户、标识或地址筛选   /',
    first: '第一页', previous: '上一页', next: '下一页', last: '最后一页',
    range: (a, b, n) => `${a}–${b}，共 ${n}`, nothing: '无',
    noTopics: '还没有人订阅任何主题。主题在有订阅者或保留消息时存在。', noClients: '没有客户端连接。',
    protocol: '协议', lag: '落后', kept: '保留', keptOf: (n, b) => `${n}（${b}）`, oldest: '最早保留', position: '编号', epoch: '纪元',
    ofV2: '其中 tank.v2', lingers: '逗留', crowd: (n) => `${n} 个用户：太多，不逐一列出。`, noMembers: '现在没有人订阅这个主题。',
    behind: (n) => `落后 ${n}`, standsAt: (at, of) => `在 ${at}，共 ${of}`,
    historyMemory: '主题保留', recovered: '续上', missed: '可能缺消息', requestsFailed: '失败的请求', lingering: '逗留主题', present: '在场',
    requestLatency: '请求处理函数',
    noMatch: (q) => `没有包含“${q}”的条目。`, beyond: '这一页已没有内容。',
    topicGone: '现在没有人订阅这个主题。有人订阅后，本页会继续更新。',
    clientGone: '该客户端已断开。', noSubscriptions: '没有订阅任何主题。',
    more: (n) => `另有 ${n} 个`, ago: (d) => `${d}前`, loading: '查询中……',
    units: { ms: '毫秒', s: '秒', min: '分', h: '小时', d: '天' },
  },
};

let language = recall('lang') ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
if (!words[language]) language = 'en';

/** t looks a text up: t('topics'), t('peak', 3), t('state', 'new'). */
export function t(key, ...values) {
  const entry = words[language][key];
  if (typeof entry === 'function') return entry(...values);
  return values.length > 0 ? entry[values[0]] ?? values[0] : entry;
}

export function toggleLanguage() {
  language = language === 'en' ? 'zh' : 'en';
  remember('lang', language);
}

/** translatePage fills in the texts of index.html. */
export function translatePage() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const node of document.querySelectorAll('[data-i18n]')) setText(node, t(node.dataset.i18n));
  for (const node of document.querySelectorAll('[data-i18n-label]')) node.setAttribute('aria-label', t(node.dataset.i18nLabel));
  for (const node of document.querySelectorAll('[data-i18n-title]')) node.setAttribute('title', t(node.dataset.i18nTitle));
}
