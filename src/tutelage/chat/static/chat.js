"use strict";

// Text of models and people goes into the page as text nodes only; the server's policy forbids anything else.

const key = location.hash.slice(1);
const at = (id) => document.getElementById(id);
const form = at("ask"), question = at("question"), send = at("send"), stop = at("stop");
const talk = at("talk"), problem = at("problem"), announce = at("announce");
let voices = [];
let busy = false;

function made(tag, kind, text) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  if (text !== undefined) element.textContent = text;
  return element;
}

const KEYLESS = "The key is missing: open the full address shown in the terminal.";
const UNREACHED = "The server does not respond. Was it stopped in the terminal?";

async function call(path, body) {
  if (!key) throw new Error(KEYLESS);
  let response;
  try {
    response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    throw new Error(UNREACHED);
  }
  if (response.status === 401) throw new Error(KEYLESS);
  if (!response.ok) throw new Error(inWords((await response.json()).error));
  return response;
}

function inWords(error) {
  if (error.errors) return error.errors.map(inWords).join("\n\n");
  const rows = [["found", error.found], ["expected", error.expected], ["what to do", error.fix]];
  return [error.problem, ...rows.filter(([, text]) => text).map(([name, text]) => `${name}: ${text}`)].join("\n");
}

function tell(error) {
  problem.textContent = error ? error.message : "";
  problem.hidden = !error;
  if (error) problem.scrollIntoView({ block: "nearest" });
}

function setBusy(now) {
  busy = now;
  send.hidden = now;
  stop.hidden = !now;
  stop.disabled = false;
  for (const button of document.querySelectorAll("button.plain")) button.disabled = now;
}

const plural = (count) => (count === 1 ? "question and its answer" : `${count} questions and their answers`);

class Turn {
  constructor(text, forgotten) {
    this.element = made("article", "turn");
    this.element.append(made("h2", "asked said", text));
    this.element.firstChild.dir = "auto";
    if (forgotten) this.remark(`The conversation no longer fits: the oldest ${plural(forgotten)} are forgotten.`);
    const answers = made("div", "answers");
    this.answers = voices.map((voice, place) => {
      const box = made("section", place ? "answer second" : "answer");
      box.setAttribute("aria-label", voice.label);
      const said = made("div", "said");
      said.dir = "auto";
      said.append("");
      box.append(...(voices.length > 1 ? [made("p", "label", voice.label)] : []), said);
      answers.append(box);
      return { box, text: said.firstChild };
    });
    this.element.append(answers);
    talk.append(this.element);
    at("empty").hidden = true;
  }

  add(place, text) {
    this.writing(place);
    this.answers[place].text.appendData(text);
  }

  writing(place) {
    this.answers.forEach(({ box }, other) => {
      box.classList.toggle("writing", other === place);
      box.setAttribute("aria-busy", String(other === place));
    });
  }

  end(interrupted) {
    this.writing(-1);
    for (const { box, text } of this.answers) {
      if (!text.data.trim()) box.append(made("p", "remark", interrupted ? "no answer" : "an empty answer"));
    }
    if (interrupted) this.remark("Stopped.");
  }

  remark(text) {
    this.element.append(made("p", "remark", text));
  }

  spoken() {
    return voices.map((voice, place) => `${voice.label}: ${this.answers[place].text.data || "no answer"}`).join("\n");
  }
}

function offerRetry() {
  talk.querySelector(".after")?.remove();
  if (!talk.lastElementChild) return;
  const row = made("p", "after");
  const button = made("button", "plain", "Sample again");
  button.type = "button";
  button.addEventListener("click", () => answer("/api/retry", {}));
  row.append(button);
  talk.lastElementChild.append(row);
}

function showState(state) {
  voices = state.voices;
  document.body.classList.toggle("two", voices.length > 1);
  at("name").textContent = (voices.length < 2 ? [voices[0].model] : voices.map((voice) => voice.label)).join(" and ");
  const named = voices.filter((voice) => voices.length > 1 && voice.label !== voice.model);
  at("models").textContent = named.map((voice) => `${voice.label} is ${voice.model}`).join(", ");
  at("models").hidden = !named.length;
  document.title = `${at("name").textContent} · Tutelage chat`;
  at("temperature").value = state.temperature;
  at("system").value = state.system ?? "";
  talk.replaceChildren();
  for (const past of state.turns) {
    const turn = new Turn(past.question, past.forgotten);
    past.answers.forEach((text, place) => turn.add(place, text));
    turn.end(past.interrupted);
  }
  at("empty").hidden = state.turns.length > 0;
  offerRetry();
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

const nearEnd = () => innerHeight + scrollY > document.body.scrollHeight - 120;
const toEnd = () => scrollTo(0, document.body.scrollHeight);

async function answer(path, body) {
  if (busy) return;
  setBusy(true);
  tell(null);
  let turn = null;
  let ended = false;
  let follow = true;
  try {
    const response = await call(path, body);
    if (path === "/api/retry") talk.lastElementChild?.remove();
    talk.querySelector(".after")?.remove();
    for await (const event of lines(response)) {
      follow = nearEnd();
      if ("question" in event) {
        turn = new Turn(event.question, event.forgotten);
        question.value = path === "/api/ask" ? "" : question.value;
        announce.textContent = "Answering";
        toEnd();
      } else if ("voice" in event) {
        turn.add(event.voice, event.text);
        if (follow) toEnd();
      } else if ("end" in event) {
        ended = true;
        turn.end(event.interrupted);
      } else if ("error" in event) {
        throw new Error(inWords(event.error));
      }
    }
    if (!ended) throw new Error("The answer broke off.");
  } catch (error) {
    if (turn && !ended) turn.end(true);
    tell(error instanceof TypeError ? new Error(UNREACHED) : error);
  } finally {
    if (turn) announce.textContent = turn.spoken();
    offerRetry();
    setBusy(false);
    if (follow && problem.hidden) toEnd();
    question.focus({ preventScroll: true });
  }
}

async function act(path, body, said) {
  if (busy) return;
  tell(null);
  try {
    showState(await (await call(path, body)).json());
    announce.textContent = said;
  } catch (error) {
    tell(error);
  }
}

async function stopAnswer() {
  if (!busy || stop.disabled) return;
  stop.disabled = true;
  try {
    await call("/api/stop", {});
  } catch (error) {
    tell(error);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (question.value.trim()) answer("/api/ask", { question: question.value });
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopAnswer();
});
stop.addEventListener("click", stopAnswer);
at("reset").addEventListener("click", async () => {
  await act("/api/reset", {}, "The conversation starts over");
  question.focus();
});
at("temperature-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act("/api/temperature", { temperature: at("temperature").valueAsNumber }, "The temperature is set");
});
at("system-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act("/api/system", { system: at("system").value }, "The system prompt is set; the conversation starts over");
});
addEventListener("hashchange", () => location.reload());

async function begin() {
  try {
    const state = await (await call("/api/talk")).json();
    showState(state);
    toEnd();
    // The answer to a page that was closed stops within a token.
    if (state.busy) setTimeout(begin, 500);
  } catch (error) {
    at("name").textContent = "Not connected";
    send.disabled = true;
    tell(error);
  }
}
begin();
