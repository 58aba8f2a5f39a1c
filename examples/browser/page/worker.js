// Everything that takes time: fetching, loading, and computing.

import init, { Chooser, Files, Filler } from "./browser.js";

const CHECKPOINT = ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"];
const models = {};

/** The bytes of a file, which is kept for `offline.js`; `received` is told how many have come. */
async function fetchBytes(url, received) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  keep(url, response.clone());
  const parts = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    received(value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Keeps a file where the page may keep any: on `https` and on the same machine. A full disk is no error. */
async function keep(url, response) {
  try {
    await (await self.caches?.open("ndalbert-1"))?.put(url, response);
  } catch (error) {
    console.warn(`${url} is not kept: ${error.message}`);
  }
}

function load(task, named) {
  const files = new Files();
  for (const [name, bytes] of named) files.add(name, bytes);
  const model = task === "fill" ? new Filler(files) : new Chooser(files);
  models[task]?.free();
  models[task] = model;
}

async function start() {
  const sizes = await (await fetch("sizes.json")).json();
  const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  let received = 0;
  const tell = (count) => postMessage({ progress: Math.min(1, (received += count) / total) });
  await init({ module_or_path: await fetchBytes("browser_bg.wasm", tell) });
  for (const task of ["choose", "fill"]) {
    const fetched = CHECKPOINT.map((name) => fetchBytes(`model/${task}/${name}`, tell));
    const bytes = await Promise.all(fetched);
    load(task, CHECKPOINT.map((name, i) => [name, bytes[i]]));
    postMessage({ ready: task });
  }
}

function need(task) {
  if (!models[task]) throw new Error("the model is not loaded yet");
  return models[task];
}

const answers = {
  choose: ({ prompt, choices }) => need("choose").scores(prompt, choices),
  fill({ text }) {
    return need("fill").fill(text).map((word) => {
      const plain = { mask: word.mask, text: word.text, score: word.score };
      word.free();
      return plain;
    });
  },
  attention({ text }) {
    const found = need("choose").attention(text);
    const plain = { tokens: found.tokens, heads: found.heads, values: found.values };
    found.free();
    return plain;
  },
  load: ({ task, files }) => load(task, files),
};

onmessage = ({ data: { id, ask, ...input } }) => {
  const begin = performance.now();
  try {
    const answer = answers[ask](input);
    postMessage({ id, answer, time: performance.now() - begin });
  } catch (error) {
    postMessage({ id, error: String(error.message ?? error) });
  }
};

start().catch((error) => postMessage({ failed: String(error.message ?? error) }));
