// Lets the page work without a network after it was loaded once. The large files are kept by `worker.js` as it loads
// them, so that they are transferred once.

const CACHE = "ndalbert-1";
const FILES = ["./", "style.css", "page.js", "texts.js", "worker.js", "sizes.json", "browser.js"];

oninstall = (event) => event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
onactivate = (event) => event.waitUntil(clients.claim());
// The network first, so that a new version is seen; what was kept where there is none.
onfetch = (event) => {
  const kept = () => caches.match(event.request, { ignoreSearch: true }).then((found) => found ?? Response.error());
  event.respondWith(fetch(event.request).catch(kept));
};
