// What is seen and typed. The worker computes.

import { TEXTS } from "./texts.js";

const CHOICES = ["成都动物园里的大熊猫人人都想摸一下.", "他们主要负责AI算法的研究和落地.", "我没吃上吉士果.", "你吃饭了吗?"];

const $ = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
const ready = new Set();
let language = navigator.language.startsWith("zh") ? "zh" : "en";
let lastId = 0;
let attention = null;

/** An element with attributes and children. */
function make(tag, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(tag), attributes);
  element.append(...children);
  return element;
}

const say = (key) => TEXTS[language][key];

/** Asks the worker. */
function ask(what, input) {
  return new Promise((resolve, reject) => {
    waiting.set(++lastId, { resolve, reject });
    worker.postMessage({ id: lastId, ask: what, ...input });
  });
}

function showError(text) {
  $("error").hidden = !text;
  $("error").textContent = text ?? "";
}

/**
 * A question that is asked again whenever its inputs change: never two at a time, and the newest inputs last.
 */
function question(task, what, input, show) {
  let busy = false;
  let again = false;
  return async function update() {
    if (!ready.has(task)) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const { answer, time } = await ask(what, input());
      show(answer);
      $(`${what}-time`).textContent = `${time.toFixed(1)} ${say("took")}`;
      showError(null);
    } catch (error) {
      showError(error.message);
    }
    busy = false;
    if (again) {
      again = false;
      update();
    }
  };
}

function bar(score) {
  const filled = make("div", { className: "bar" });
  filled.style.width = `${100 * score}%`;
  return make("div", { className: "track", ariaHidden: "true" }, filled);
}

const percent = (score) => `${(100 * score).toFixed(1)} %`;

// Choices

const rows = () => [...$("choices").children];

function addChoice(text) {
  const input = make("input", { value: text, lang: "zh", oninput: updateChoices });
  const remove = make("button", { type: "button", textContent: "×", className: "remove" });
  const row = make("li", {}, make("div", { className: "choice" }, input, remove), make("div", { className: "answer" }));
  remove.onclick = () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector("input") ?? $("add")).focus();
    nameChoices();
    updateChoices();
  };
  $("choices").append(row);
  nameChoices();
  return input;
}

function nameChoices() {
  rows().forEach((row, i) => {
    row.querySelector("input").ariaLabel = `${say("choice")} ${i + 1}`;
    row.querySelector(".remove").ariaLabel = `${say("remove")} ${i + 1}`;
    row.querySelector(".remove").disabled = rows().length === 1;
  });
}

const updateChoices = question(
  "choose",
  "choose",
  () => ({ prompt: $("prompt").value, choices: rows().map((row) => row.querySelector("input").value) }),
  (scores) => {
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
    rows().forEach((row, i) => {
      // Rows may have been added or removed meanwhile; then the question is asked again.
      if (scores[i] === undefined) return;
      row.classList.toggle("best", i === order[0]);
      const score = make("span", { className: "score", textContent: `#${order.indexOf(i) + 1}  ${percent(scores[i])}` });
      row.querySelector(".answer").replaceChildren(bar(scores[i]), score);
    });
  },
);

// Masks

const updateWords = question(
  "fill",
  "fill",
  () => ({ text: $("masked").value }),
  (words) => {
    const row = ({ mask, text, score }) =>
      make(
        "li",
        { className: "answer" },
        make("span", { className: "word", lang: "zh", textContent: `${mask + 1}. ${text}` }),
        bar(score),
        make("span", { className: "score", textContent: percent(score) }),
      );
    $("words").replaceChildren(...words.map(row));
  },
);

// Attention

const updateAttention = question("choose", "attention", () => ({ text: $("sentence").value }), (found) => {
  attention = found;
  const layers = found.values.length / (found.heads * found.tokens.length ** 2);
  for (const [id, count] of [["layer", layers], ["head", found.heads]]) {
    if ($(id).length !== count) {
      $(id).replaceChildren(...Array.from({ length: count }, (_, i) => make("option", { value: i, textContent: i + 1 })));
    }
  }
  drawAttention();
});

function drawAttention() {
  if (!attention) return;
  const { tokens, heads, values } = attention;
  const n = tokens.length;
  const start = (Number($("layer").value) * heads + Number($("head").value)) * n * n;
  const header = make("tr", {}, make("th"), ...tokens.map((token) => make("th", { scope: "col", textContent: token })));
  const body = tokens.map((from, i) => {
    const cells = tokens.map((to, j) => {
      const value = values[start + i * n + j];
      const name = `${say("asks")} ${from} ${say("attends")} ${to}: ${percent(value)}`;
      const cell = make("td", { title: name, ariaLabel: name });
      cell.style.background = `rgb(47 111 183 / ${value})`;
      return cell;
    });
    return make("tr", {}, make("th", { scope: "row", textContent: from }), ...cells);
  });
  const caption = `${say("attention")}: ${say("layer")} ${Number($("layer").value) + 1}, ${say("head")} ${Number($("head").value) + 1}`;
  $("matrix").replaceChildren(make("table", { ariaLabel: caption }, header, ...body));
}

// Own checkpoints

$("files").onchange = async () => {
  const chosen = [...$("files").files];
  if (!chosen.length) return;
  const task = $("task").value;
  try {
    const files = await Promise.all(chosen.map(async (file) => [file.name, new Uint8Array(await file.arrayBuffer())]));
    const { time } = await ask("load", { task, files });
    $("status").textContent = `${say("loaded")}: ${chosen.map((file) => file.name).join(", ")} (${time.toFixed(0)} ms)`;
    showError(null);
    updateAll();
  } catch (error) {
    showError(error.message);
  }
  $("files").value = "";
};

function updateAll() {
  updateChoices();
  updateWords();
  updateAttention();
}

function translate() {
  document.documentElement.lang = language;
  document.title = say("title");
  $("language").value = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  if (ready.size < 2) $("status").textContent = say("loading");
  nameChoices();
  drawAttention();
}

const begin = performance.now();
worker.onmessage = ({ data }) => {
  if (data.id) {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error === undefined) resolve(data);
    else reject(new Error(data.error));
  } else if (data.failed) {
    showError(data.failed);
  } else if (data.ready) {
    ready.add(data.ready);
    if (ready.size === 2) {
      $("progress").hidden = true;
      $("status").textContent = `${say("ready")} (${(performance.now() - begin).toFixed(0)} ms)`;
    }
    updateAll();
  } else {
    $("progress").value = data.progress;
  }
};
worker.onerror = (event) => showError(event.message || "worker.js");

CHOICES.forEach(addChoice);
translate();
$("add").onclick = () => {
  addChoice("").focus();
  updateChoices();
};
$("prompt").oninput = updateChoices;
$("masked").oninput = updateWords;
$("sentence").oninput = updateAttention;
$("layer").onchange = $("head").onchange = drawAttention;
$("language").onchange = () => {
  language = $("language").value;
  translate();
  updateAll();
};
navigator.serviceWorker?.register("offline.js");
