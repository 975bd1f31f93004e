// A socket that comes back for ever, and knows when it is stale.
// States: connecting, live, reconnecting, stale. "Stale" wins: no pulse for six seconds.

const STALE_AFTER = 6000;
const GIVE_UP_AFTER = 15000;
const LONGEST_PAUSE = 10000;
const FORBIDDEN = 4403;

export class LiveSocket {
  constructor(path, { hello, message, state, forbidden }) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.address = `${scheme}//${location.host}${path}`;
    this.on = { hello, message, state, forbidden };
    this.failures = 0;
    this.heard = Date.now();
    this.everLive = false;
    this.open();
    setInterval(() => this.watch(), 500);
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  open() {
    this.retry = null;
    this.tried = Date.now();
    const line = new WebSocket(this.address);
    this.line = line;
    line.onopen = () => this.send(this.on.hello());
    line.onmessage = (event) => line === this.line && this.take(JSON.parse(event.data));
    line.onclose = (event) => line === this.line && this.closed(event.code);
  }

  take(message) {
    this.failures = 0;
    this.heard = Date.now();
    this.everLive = true;
    this.on.message(message);
    this.tell("live");
  }

  send(message) {
    if (this.line.readyState === WebSocket.OPEN) this.line.send(JSON.stringify(message));
  }

  closed(code) {
    if (code === FORBIDDEN) return this.on.forbidden();
    this.failures += 1;
    const longest = Math.min(LONGEST_PAUSE, 500 * 2 ** Math.min(this.failures, 6));
    this.retry = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));
    this.tell(this.stale() ? "stale" : this.everLive ? "reconnecting" : "connecting");
  }

  retryNow() {
    if (!this.retry) return;
    clearTimeout(this.retry);
    this.open();
  }

  stale() {
    return Date.now() - this.heard > STALE_AFTER;
  }

  watch() {
    if (!this.stale()) return;
    this.tell("stale");
    const silent = Date.now() - Math.max(this.heard, this.tried);
    if (!this.retry && silent > GIVE_UP_AFTER) {
      const line = this.line;
      this.line = { readyState: WebSocket.CLOSED };
      line.close();
      this.closed(0);
    }
  }

  tell(state) {
    this.on.state(state, new Date(this.heard));
  }
}
