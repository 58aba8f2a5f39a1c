// Keeps every file of the page, so that it works without a network after it was loaded once.

const CACHE = "ndalbert-1";
const MODEL = ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"];
const FILES = [
  "./", "style.css", "page.js", "texts.js", "worker.js", "sizes.json", "browser.js", "browser_bg.wasm",
  ...["choose", "fill"].flatMap((task) => MODEL.map((name) => `model/${task}/${name}`)),
];

oninstall = (event) => event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
onactivate = (event) => event.waitUntil(clients.claim());
// The network first, so that a new version is seen; what was kept where there is none.
onfetch = (event) => {
  const kept = () => caches.match(event.request, { ignoreSearch: true }).then((found) => found ?? Response.error());
  event.respondWith(fetch(event.request).catch(kept));
};
