// Keeps the page of the day for when there is no network: network first, what was kept last if that fails.
const KEPT = "firstcall-day-1";
const FILES = ["/assets/console.css", "/assets/day.css", "/assets/console.js", "/assets/day.js", "/assets/mark.svg"];
self.addEventListener("install", (event) => event.waitUntil(caches.open(KEPT).then((kept) => kept.addAll(FILES)).then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.pathname === "/my-day" || FILES.includes(url.pathname);
  if (event.request.method !== "GET" || url.origin !== location.origin || !ours) return;
  event.respondWith((async () => {
    const kept = await caches.open(KEPT);
    try {
      const answer = await fetch(event.request, { signal: AbortSignal.timeout(6000) });
      if (answer.ok && !answer.redirected) await kept.put(event.request, answer.clone());
      else if (answer.redirected) await caches.delete(KEPT); // signed out: nothing of the day stays on the phone
      return answer;
    } catch (error) {
      const before = await kept.match(event.request);
      if (before) return before;
      throw error;
    }
  })());
});
