// Tests the page of `dist/` in a headless Chromium: node test.mjs [DIRECTORY FOR SCREENSHOTS]

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { launch, serve } from "./chromium.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const server = await serve(join(here, "dist"));
const page = await launch();
const { call, evaluate, until } = page;
const scratch = await mkdtemp(join(tmpdir(), "ndalbert-page-"));

const scores = () =>
  evaluate(`[...document.querySelectorAll("#choices .score")].map((score) => parseFloat(score.textContent.split("  ")[1]))`);
const best = () => evaluate(`document.querySelector("#choices .best input").value`);
const type = (selector, text) =>
  evaluate(`{ const field = document.querySelector(${JSON.stringify(selector)}); field.value = ${JSON.stringify(text)};
    field.dispatchEvent(new Event("input")); }`);
const answered = `document.querySelectorAll("#choices .score").length === document.querySelectorAll("#choices li").length`;

async function open() {
  await call("Page.navigate", { url: server.url });
  await until(`document.getElementById("progress")?.hidden && ${answered} && document.querySelector("#matrix table")
    && document.querySelectorAll("#words li").length === 5`);
}

async function screenshot(name, width, height) {
  if (!process.argv[2]) return;
  await call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 500 });
  const { data } = await call("Page.captureScreenshot", { captureBeyondViewport: false });
  await writeFile(join(process.argv[2], name), Buffer.from(data, "base64"));
}

async function choose(files) {
  const { root } = await call("DOM.getDocument");
  const { nodeId } = await call("DOM.querySelector", { nodeId: root.nodeId, selector: "#files" });
  await call("DOM.setFileInputFiles", { nodeId, files });
}

const tests = {
  async "the article's question is answered"() {
    await open();
    assert.equal(await best(), "他们主要负责AI算法的研究和落地.");
    const found = await scores();
    assert.ok(Math.abs(found.reduce((sum, score) => sum + score) - 100) < 0.5, `${found}`);
    assert.match(await evaluate(`document.getElementById("choose-time").textContent`), /^\d+\.\d ms/);
  },
  async "large files are transferred once"() {
    await until(`navigator.serviceWorker.ready.then(() => true)`);
    const large = server.requests.filter((path) => /wasm$|safetensors$/.test(path));
    assert.deepEqual(large.sort(), [...new Set(large)], `${large}`);
    assert.equal(large.length, 3);
  },
  async "typing changes the answer, and choices come and go"() {
    const before = await scores();
    await type("#choices li:first-child input", "算法组主要研究AI算法.");
    await until(`document.querySelector("#choices .score").textContent.indexOf("${before[0].toFixed(1)} %") < 0`);
    await evaluate(`document.getElementById("add").click()`);
    await until(`${answered} && document.querySelectorAll("#choices li").length === 5`);
    assert.ok(await evaluate(`document.activeElement === document.querySelector("#choices li:last-child input")`));
    await evaluate(`document.querySelector("#choices li:last-child .remove").click()`);
    await until(`document.querySelectorAll("#choices li").length === 4`);
    await type("#masked", "今天没有空");
    await until(`document.getElementById("error").textContent.includes("[MASK]")`);
    await type("#masked", "今天天[MASK]很好");
    await until(`document.getElementById("error").hidden`);
  },
  async "a mistyped checkpoint is an error that names it, and the old model stays"() {
    const config = JSON.parse(await readFile(join(here, "page/model/choose/config.json"), "utf8"));
    const path = join(scratch, "config.json");
    await writeFile(path, JSON.stringify({ ...config, hidden_size: "wide" }));
    await choose([path, join(here, "page/model/choose/model.safetensors"), join(here, "page/model/choose/vocab.txt")]);
    await until(`!document.getElementById("error").hidden`);
    const error = await evaluate(`document.getElementById("error").textContent`);
    for (const word of ["config.json", "hidden_size", "wide"]) assert.ok(error.includes(word), error);
    await type("#prompt", "你好.");
    await until(`document.getElementById("error").hidden`);
  },
  async "one's own checkpoint is loaded"() {
    const names = ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"];
    await choose(names.map((name) => join(here, "page/model/choose", name)));
    await until(`document.getElementById("status").textContent.includes("model.safetensors")`);
  },
  async "everything has a name, and it is spoken of in Chinese, too"() {
    await evaluate(`{ const list = document.getElementById("language"); list.value = "zh"; list.onchange(); }`);
    assert.equal(await evaluate(`document.documentElement.lang`), "zh");
    const { nodes } = await call("Accessibility.getFullAXTree");
    const controls = nodes.filter(({ role }) => ["button", "textbox", "combobox"].includes(role?.value));
    assert.ok(controls.length > 12, `${controls.length}`);
    for (const { role, name } of controls) assert.ok(name?.value, `a ${role.value} without a name`);
    assert.ok(await evaluate(`document.querySelector("h2").textContent.includes("下一句")`));
  },
  async "nothing is wider than a phone"() {
    await call("Emulation.setDeviceMetricsOverride", { width: 360, height: 780, deviceScaleFactor: 1, mobile: true });
    assert.ok((await evaluate(`document.documentElement.scrollWidth`)) <= 360);
  },
  async "it works without a network after it was loaded"() {
    await until(`navigator.serviceWorker.ready.then(() => true)`);
    await server.close();
    await open();
    assert.equal(await best(), "他们主要负责AI算法的研究和落地.");
    await screenshot("page.png", 760, 1250);
    await screenshot("phone.png", 360, 900);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
await page.close();
await server.close().catch(() => {});
await rm(scratch, { recursive: true });
process.exitCode = failed ? 1 : 0;
