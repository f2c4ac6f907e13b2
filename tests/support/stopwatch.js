// In every page of the dashboard's benchmark: how long from an act until its answer is drawn, and until its pictures are.
// `wire_ms` is from the first message that the page sends to the last that it got before the answer was there: what the
// server took, with the ways between.
(() => {
  let sent = null, got = null;
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...args) {
      super(...args);
      if (String(args[0]).includes("/api/")) return; // live pictures
      this.addEventListener("message", () => (got = performance.now()));
      const send = this.send;
      this.send = data => {
        sent ??= performance.now();
        return send.call(this, data);
      };
    }
  };
  const drawn = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
  const cards = () => [...document.querySelectorAll(".tp-search .tp-card")];
  const inView = image => {
    const box = image.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight && box.width > 0;
  };
  const acts = {
    click: number => {
      const buttons = document.querySelectorAll(".tp-act-search");
      const button = buttons[number % buttons.length];
      return [() => button.click(), () => cards().length > 0];
    },
    chip: text => {
      const item = [...document.querySelectorAll(".q-menu .q-item")].find(i => i.textContent.trim() === text);
      const before = document.querySelector(".tp-search");
      return [() => item.click(), () => cards().length > 0 && document.querySelector(".tp-search") !== before];
    },
    verdict: key => {
      const card = cards()[0], one = card.dataset.tracklet;
      card.focus();
      const press = () => card.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      return [press, () => cards().length > 0 && !cards().some(c => c.dataset.tracklet === one)];
    },
  };
  window.stopwatch = (name, what) =>
    new Promise((resolve, reject) => {
      const [act, done] = acts[name](what);
      sent = got = null;
      const begun = performance.now();
      const late = setTimeout(() => reject(new Error(`${name} had no answer`)), 180000);
      const look = async () => {
        if (!done()) return;
        observer.disconnect();
        clearTimeout(late);
        const wire = got - sent;
        await drawn();
        const shown = performance.now() - begun;
        while (![...document.querySelectorAll(".tp-search .tp-card img")].filter(inView).every(i => i.complete)) await drawn();
        resolve({ wire_ms: wire, shown_ms: shown, pictures_ms: performance.now() - begun });
      };
      const observer = new MutationObserver(look);
      observer.observe(document.body, { subtree: true, childList: true });
      act();
    });
})();
