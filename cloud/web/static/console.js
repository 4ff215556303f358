// Times in the reader's own zone, the clock that tells what "now" is, and what a page does by itself. No other logic.
(() => {
  "use strict";
  let offset = 0; // what the desk holds for now, minus this machine's clock, in ms
  const now = () => Date.now() + offset;
  const tongue = document.documentElement.lang || undefined;
  const day = new Intl.DateTimeFormat(tongue, { day: "numeric", month: "short" });
  const dayYear = new Intl.DateTimeFormat(tongue, { day: "numeric", month: "short", year: "numeric" });
  const clock = new Intl.DateTimeFormat(tongue, { hour: "2-digit", minute: "2-digit", hour12: false });
  const clockSeconds = new Intl.DateTimeFormat(tongue, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const full = new Intl.DateTimeFormat(tongue, { dateStyle: "full", timeStyle: "long" });
  const relative = new Intl.RelativeTimeFormat(tongue, { numeric: "always", style: "short" });
  const units = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["min", 60]];

  const since = (ms) => {
    const seconds = Math.round((ms - now()) / 1000);
    for (const [name, length] of units) {
      if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), name === "min" ? "minute" : name);
    }
    return seconds > 5 ? relative.format(seconds, "second") : (tongue || "").startsWith("zh") ? "刚刚" : "just now";
  };
  const moment = (date) => {
    const today = new Date(now());
    if (date.toDateString() === today.toDateString()) return clock.format(date);
    return `${(date.getFullYear() === today.getFullYear() ? day : dayYear).format(date)}, ${clock.format(date)}`;
  };

  class Time extends HTMLElement {
    static observedAttributes = ["at"];
    connectedCallback() { this.draw(); this.timer = setInterval(() => this.draw(), 10000); document.addEventListener("fc-now", this); }
    disconnectedCallback() { clearInterval(this.timer); document.removeEventListener("fc-now", this); }
    attributeChangedCallback() { if (this.isConnected) this.draw(); }
    handleEvent() { this.draw(); }
    draw() {
      const at = new Date(this.getAttribute("at"));
      if (Number.isNaN(at.getTime())) { this.textContent = "–"; return; }
      const wanted = `${moment(at)}|${since(at.getTime())}`;
      if (wanted === this.drawn) return;
      this.drawn = wanted;
      const [shown, ago] = wanted.split("|");
      this.title = full.format(at);
      this.replaceChildren(shown);
      const small = document.createElement("small");
      small.textContent = this.hasAttribute("inline") ? ` · ${ago}` : ago;
      this.append(small);
    }
  }

  class Clock extends HTMLElement {
    static observedAttributes = ["now"];
    connectedCallback() { this.set(); this.timer = setInterval(() => this.draw(), 1000); }
    disconnectedCallback() { clearInterval(this.timer); }
    attributeChangedCallback() { if (this.isConnected) this.set(); }
    set() {
      const at = Date.parse(this.getAttribute("now"));
      if (!Number.isNaN(at)) { offset = at - Date.now(); document.dispatchEvent(new Event("fc-now")); }
      this.draw();
    }
    draw() {
      const at = new Date(now());
      const time = document.createElement("b");
      time.textContent = clockSeconds.format(at);
      this.replaceChildren(time, `${dayYear.format(at)} · ${this.getAttribute("label")}`);
    }
  }
  document.addEventListener("click", (event) => { // language, light or dark: kept in this browser
    const chosen = event.target.closest("[data-cookie]");
    if (!chosen) return;
    document.cookie = `${chosen.dataset.cookie}; path=/; max-age=31536000; samesite=lax`;
    location.reload();
  });
  addEventListener("load", () => { // on a phone the filters are a strip: show the one that is chosen
    for (const chosen of document.querySelectorAll(".fc-chips a[aria-current]")) {
      const strip = chosen.parentElement, at = chosen.getBoundingClientRect(), around = strip.getBoundingClientRect();
      strip.scrollLeft += at.left + at.width / 2 - around.left - around.width / 2;
    }
  });
  customElements.define("fc-time", Time);
  customElements.define("fc-clock", Clock);
})();
