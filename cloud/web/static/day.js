// The finding form on a phone with a bad network: drafts stay here, a finding goes out until the server has it.
(() => {
  "use strict";
  const main = document.getElementById("main");
  const said = JSON.parse(main.dataset.said);
  const network = document.getElementById("network");
  const keep = (key, value) => { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, JSON.stringify(value)); } catch { /* full or forbidden: the page still works */ } };
  const kept = (key) => { try { return JSON.parse(localStorage.getItem(key)); } catch { return null; } };
  const draftKey = (number) => `fc-draft-${number}`;
  const sendKey = (number) => `fc-send-${number}`;
  const fields = (form) => ({ outcome: form.elements.outcome.value, code: form.elements.code.value || null, part: form.elements.part.value || null, note: form.elements.note.value });

  function tell(form, words, wrong) {
    const line = form.querySelector(".fc-state");
    line.textContent = words;
    line.classList.toggle("fc-wrong", Boolean(wrong));
  }
  function fill(form, draft) {
    for (const [name, value] of Object.entries(draft)) if (form.elements[name]) form.elements[name].value = value ?? "";
  }
  function done(form) {
    const stop = form.closest(".fc-stop");
    stop.classList.add("done");
    const mark = document.createElement("span");
    mark.className = "tag good";
    mark.textContent = form.querySelector("input[name=outcome]:checked").parentElement.innerText;
    stop.querySelector(".fc-when").append(mark);
    form.closest("details").replaceWith(Object.assign(document.createElement("p"), { className: "fc-state", textContent: said.sent }));
  }

  async function send(form) {
    const number = form.dataset.visit;
    const report = kept(sendKey(number));
    if (!report || form.dataset.sending) return;
    form.dataset.sending = "1";
    try {
      const answer = await fetch(`/my-day/visits/${number}/finding`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(report), signal: AbortSignal.timeout(15000), redirect: "error",
      });
      if (answer.ok) { keep(sendKey(number), null); keep(draftKey(number), null); done(form); return; }
      if (answer.status >= 500 || answer.status === 401) throw new Error(String(answer.status)); // for now: tried again
      keep(sendKey(number), null);
      tell(form, said.refused.replace("{why}", (await answer.json()).detail), true);
    } catch {
      tell(form, said.waiting);
    } finally {
      delete form.dataset.sending;
    }
  }

  async function sendPhoto(form) {
    const photo = form.elements.photo.files[0];
    if (!photo) return;
    const answer = await fetch(`/my-day/visits/${form.dataset.visit}/photo`, { method: "POST", headers: { "Content-Type": photo.type }, body: photo });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    tell(form, said.photo);
  }

  const forms = [...document.querySelectorAll("form[data-visit]")];
  for (const form of forms) {
    const number = form.dataset.visit;
    const draft = kept(sendKey(number)) || kept(draftKey(number));
    if (draft) { fill(form, draft); form.closest("details").open = true; tell(form, kept(sendKey(number)) ? said.waiting : said.kept); }
    form.addEventListener("input", () => { keep(draftKey(number), fields(form)); });
    form.elements.photo.addEventListener("change", () => sendPhoto(form).catch((error) => tell(form, said.refused.replace("{why}", error.message), true)));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keep(sendKey(number), { ...fields(form), found_at: kept(sendKey(number))?.found_at || new Date().toISOString() });
      send(form);
    });
  }
  const sendAll = () => forms.forEach(send);
  const look = () => { network.hidden = navigator.onLine; network.textContent = said.away; if (navigator.onLine) sendAll(); };
  addEventListener("online", look);
  addEventListener("offline", look);
  setInterval(sendAll, 20000);
  look();

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-contact]");
    if (!button) return;
    const place = button.parentElement;
    try {
      const answer = await fetch(`/my-day/visits/${button.dataset.contact}/contact`, { method: "POST" });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.detail);
      const list = document.createElement("address");
      for (const kind of ["name", "address", "phone", "email"].filter((one) => found[one])) {
        const words = found[kind];
        const line = document.createElement(kind === "phone" ? "a" : "div");
        if (kind === "phone") line.href = `tel:${words.replace(/[^+\d]/g, "")}`;
        line.textContent = words;
        list.append(line);
      }
      place.replaceChildren(list);
    } catch (error) {
      place.lastElementChild.textContent = error.message;
    }
  });
  for (const day of document.querySelectorAll("fc-day")) {
    const at = new Date(`${day.getAttribute("day")}T12:00:00`);
    day.textContent = new Intl.DateTimeFormat(document.documentElement.lang, { weekday: "long", day: "numeric", month: "short" }).format(at);
  }
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("/my-day/worker.js", { scope: "/my-day" }).catch(() => {});
})();
