"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const clips = JSON.parse(document.getElementById("clips").textContent);
const collector = document.querySelector("meta[name=collector]").content;
const byId = (id) => document.getElementById(id);
const reference = "reference", letters = ["A", "B", "X"];
const fade = 0.005, shortest = 0.5;  // seconds: of a fade, and of a loop (ITU-R BS.1534-3, 5.3)
const grades = ["Bad", "Poor", "Fair", "Good", "Excellent"];

/** Random numbers in [0, 1) that a text decides: FNV-1a starts mulberry32. */
function random(text) {
  let state = 2166136261;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 16777619);
  return () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Fisher and Yates. */
function shuffled(list, draw) {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

/** The trials of a listener in their order, each with its hidden sounds in theirs. The same name has the same order everywhere. */
function ordered(listener) {
  const draw = random(`${test.id}/${listener}`);
  draw();
  return shuffled(test.trials, draw).map((trial) => {
    const hidden = shuffled(trial.systems, draw);
    if (test.design === "abx") hidden.push(hidden[draw() < 0.5 ? 0 : 1]);
    return { ...trial, hidden };
  });
}

/** Sounds of one length that play in step; one of them is heard. */
class Player {
  constructor(context) {
    this.context = context;
    this.buffers = [];
    this.voices = [];
    this.heard = -1;
    this.playing = false;
    this.rise = Float32Array.from({ length: 64 }, (_, i) => 0.5 - 0.5 * Math.cos(Math.PI * i / 63));
    this.fall = this.rise.map((value) => 1 - value);
  }

  load(buffers) {
    this.stop();
    this.buffers = buffers;
    this.heard = -1;
    this.region = [0, this.length];
  }

  get length() { return Math.min(...this.buffers.map((buffer) => buffer.duration)); }

  /** Seconds from the start of the sounds. */
  get position() {
    const [from, to] = this.region;
    if (!this.playing) return from + (this.rest ?? 0);
    return from + Math.max(0, this.context.currentTime - this.since) % (to - from);
  }

  /** The region of a buffer, its ends faded, so that it loops without a click. */
  cut(buffer) {
    const rate = buffer.sampleRate, start = Math.round(this.region[0] * rate);
    const count = Math.min(Math.round(this.region[1] * rate), buffer.length) - start;
    const part = this.context.createBuffer(buffer.numberOfChannels, count, rate);
    const edge = Math.min(Math.round(fade * rate), count >> 1);
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      const samples = buffer.getChannelData(channel).slice(start, start + count);
      for (let i = 0; i < edge; i++) {
        const gain = 0.5 - 0.5 * Math.cos(Math.PI * i / edge);
        samples[i] *= gain;
        samples[count - 1 - i] *= gain;
      }
      part.copyToChannel(samples, channel);
    }
    return part;
  }

  play() {
    if (this.playing) return;
    const when = this.context.currentTime + 0.02, offset = this.rest ?? 0;
    this.voices = this.buffers.map((buffer, i) => {
      const source = this.context.createBufferSource(), gain = this.context.createGain();
      source.buffer = this.cut(buffer);
      source.loop = true;
      gain.gain.value = i === this.heard ? 1 : 0;
      source.connect(gain).connect(this.context.destination);
      source.start(when, offset);
      return { source, gain };
    });
    this.since = when - offset;
    this.rising = -1;
    this.playing = true;
  }

  stop() {
    if (!this.playing) return;
    this.rest = this.position - this.region[0];
    this.playing = false;
    const now = this.context.currentTime;
    for (const { source, gain } of this.voices) {
      gain.gain.cancelScheduledValues(0);
      gain.gain.setTargetAtTime(0, now, fade / 3);
      source.stop(now + 4 * fade);
    }
    this.voices = [];
  }

  /** One sound falls silent, then the next one rises, at the same place: no cross-fade. */
  hear(index) {
    const before = this.heard;
    this.heard = index;
    if (!this.playing || before === index) return;
    const now = this.context.currentTime, risen = Math.min(Math.max((now - this.rising) / fade, 0), 1);
    const level = 0.5 - 0.5 * Math.cos(Math.PI * risen);  // of a sound that has just begun to rise
    this.rising = now + fade;
    this.voices.forEach(({ gain }, i) => {
      gain.gain.cancelScheduledValues(0);
      if (i === before) {
        gain.gain.setValueCurveAtTime(this.fall.map((value) => level * value), now, fade);
      } else {
        gain.gain.setValueAtTime(0, now);
        if (i === index) gain.gain.setValueCurveAtTime(this.rise, this.rising, fade);
      }
    });
  }

  loop(from, to) {
    const playing = this.playing;
    this.stop();
    this.region = [from, to];
    this.rest = 0;
    if (playing) this.play();
  }
}

/* ---------- what is kept in this browser ---------- */

const place = (listener) => `blackbox-grad listen ${test.id} ${listener}`;
const lastPlace = `blackbox-grad listen ${test.id}`;
let storing = true;

function stored(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

function store(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { storing = false; }
}

/** State: answers by trial; those the server does not have; those that it has from elsewhere; the draft of the open trial. */
function stateOf(listener) {
  const kept = stored(place(listener)) ?? {};
  const key = kept.key ?? Array.from(crypto.getRandomValues(new Uint32Array(2)), (n) => n.toString(36)).join("");
  return { key, answers: {}, unsent: [], elsewhere: [], draft: null, trained: 0, ...kept };
}

const save = () => store(place(listener), state);

/* ---------- the test ---------- */

let listener = "", state = null, trials = [], at = -1, practice = -1, player = null;
let ratings = {}, heard = new Set(), choice = null, began = 0, opening = 0, sending = null;
const isRating = test.design === "mushra";
const isDone = (trial) => trial.id in state.answers || state.elsewhere.includes(trial.id);
const current = () => practice >= 0 ? trials[practice] : trials[at];

/** Names and clips of the sounds of a trial: first the known ones, then the hidden ones. */
function soundsOf(trial) {
  const numbers = test.sounds[trial.id];
  const known = reference in numbers && test.design !== "abx" ? [{ label: "Reference", clip: numbers[reference] }] : [];
  const hidden = trial.hidden.map((system, i) => ({ label: isRating ? `${i + 1}` : letters[i], system, clip: numbers[system] }));
  return { known, hidden, all: [...known, ...hidden] };
}

function trouble(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

function showOnly(id) {
  for (const name of ["start", "trial", "end"]) byId(name).hidden = name !== id;
}

async function decoded(clip) {
  const bytes = Uint8Array.from(atob(clips[clip]), (c) => c.charCodeAt(0));
  return player.context.decodeAudioData(bytes.buffer);
}

function newContext() {
  const Context = window.AudioContext ?? window.webkitAudioContext;
  try { return new Context({ sampleRate: test.rate }); } catch { return new Context(); }
}

async function open() {
  const mine = ++opening;
  const trial = current(), { known, hidden, all } = soundsOf(trial);
  const kept = practice < 0 ? state.draft?.trial === trial.id ? state.draft : state.answers[trial.id] : null;
  ratings = { ...kept?.ratings };
  heard = new Set(practice < 0 && trial.id in state.answers ? all.map((_, i) => i) : kept?.heard ?? []);
  choice = kept?.choice ?? null;
  began = performance.now() - 1000 * (kept?.seconds ?? 0);
  player.stop();
  showOnly("trial");
  byId("heading").textContent = practice >= 0 ? `Practice ${practice + 1} of ${test.training}: these answers are not kept`
    : `Trial ${at + 1} of ${trials.length}`;
  byId("play").disabled = true;
  byId("rating").hidden = !isRating;
  byId("choices").hidden = isRating;
  byId("known").replaceChildren(...known.map((sound, i) => button(sound.label, i)),
    ...(isRating ? [] : hidden.map((sound, i) => button(sound.label, known.length + i))));
  byId("sounds").replaceChildren(...(isRating ? hidden.map((sound, i) => row(sound, known.length + i)) : []));
  byId("choices").replaceChildren(...(isRating ? [] : [0, 1].map((i) => chooser(hidden[i], i))));
  byId("heading").focus();
  show();
  try {
    const buffers = await Promise.all(all.map((sound) => decoded(sound.clip)));
    if (mine !== opening) return;  // another trial was opened
    player.rest = 0;
    player.load(buffers);
  } catch (error) {
    trouble(`This browser cannot play the sounds: ${error.message}`);
    return;
  }
  byId("play").disabled = false;
  drawWave();
  setLoop(0, player.length);
}

function button(label, index) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.dataset.sound = index;
  made.addEventListener("click", () => listen(index));
  return made;
}

function row(sound, index) {
  const made = document.createElement("div"), slider = document.createElement("input"), bar = document.createElement("div");
  made.className = "sound";
  made.dataset.system = sound.label;
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, value: ratings[sound.system] ?? 50 });
  slider.setAttribute("aria-label", `Rating of sound ${sound.label}`);
  const mine = opening;
  const rate = () => {
    if (mine !== opening) return;  // another trial was opened
    ratings[sound.system] = Number(slider.value);
    keepDraft();
    show();
  };
  // only the sound that is heard is rated
  slider.addEventListener("pointerdown", () => listen(index));
  slider.addEventListener("focus", () => listen(index));
  slider.addEventListener("input", rate);
  slider.addEventListener("change", rate);
  slider.addEventListener("click", rate);  // where it already stood
  slider.addEventListener("keydown", (event) => {
    if (["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"].includes(event.key)) setTimeout(rate);
  });
  bar.className = "bar";
  bar.append(slider);
  made.append(button(sound.label, index), bar, document.createElement("output"));
  return made;
}

function chooser(sound, index) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = test.design === "abx" ? `X is ${sound.label}` : sound.label;
  made.dataset.system = sound.label;
  made.addEventListener("click", () => choose(index));
  return made;
}

function choose(index) {
  choice = current().hidden[index];
  keepDraft();
  show();
}

function keepDraft() {
  if (practice >= 0) return;
  state.draft = { trial: current().id, ratings, choice, heard: [...heard], seconds: (performance.now() - began) / 1000 };
  save();
}

async function listen(index) {
  if (!player.buffers.length || byId("play").disabled) return;
  heard.add(index);
  player.hear(index);
  keepDraft();
  await start();
}

async function start() {
  const mine = opening;
  if (player.heard < 0) { player.heard = 0; heard.add(0); }
  show();
  await player.context.resume();
  if (mine !== opening) return;  // another trial was opened
  player.play();
  show();
  requestAnimationFrame(drawPlace);
}

function toggle() {
  if (byId("play").disabled) return;
  if (player.playing) player.stop(); else start();
  show();
}

function missing() {
  const { all, hidden } = soundsOf(current());
  const unheard = all.filter((_, i) => !heard.has(i)).map((sound) => sound.label);
  if (unheard.length) return `Listen to ${unheard.join(", ")} first.`;
  const unrated = isRating ? hidden.filter((sound) => !(sound.system in ratings)).map((sound) => sound.label) : [];
  if (unrated.length) return `Not rated yet: ${unrated.join(", ")}.`;
  return isRating || choice !== null ? "" : "Choose an answer.";
}

function show() {
  const { known, hidden } = soundsOf(current());
  byId("play").textContent = player.playing ? "❚❚ Pause" : "▶ Play";
  for (const one of document.querySelectorAll("[data-sound]")) {
    one.setAttribute("aria-pressed", player.heard === Number(one.dataset.sound));
  }
  hidden.forEach((sound, i) => {
    const line = byId("sounds").children[i], rating = ratings[sound.system];
    if (line) {
      const slider = line.querySelector("input");
      line.classList.toggle("unrated", rating === undefined);
      line.querySelector("output").textContent = rating ?? "–";
      slider.setAttribute("aria-valuetext", rating === undefined ? "not rated" : `${rating}, ${grades[Math.min(4, Math.floor(rating / 20))]}`);
    }
    byId("choices").children[i]?.setAttribute("aria-pressed", choice !== null && sound.system === choice);
  });
  const what = missing();
  byId("missing").textContent = what;
  byId("next").disabled = what !== "";
  byId("back").disabled = previous() < 0;
  byId("progress").value = trials.filter(isDone).length / trials.length;
}

/** The trial before this one whose answer is known here, or -1. */
function previous() {
  if (practice >= 0) return -1;
  for (let i = at - 1; i >= 0; i--) if (trials[i].id in state.answers) return i;
  return -1;
}

function next() {
  if (missing()) return;
  if (practice >= 0) {
    state.trained = ++practice;
    if (practice >= test.training) practice = -1;
    save();
  } else {
    const trial = current(), [first] = trial.hidden;
    const seconds = Math.min(Math.round((performance.now() - began) / 100) / 10, 1e6);
    state.answers[trial.id] = isRating ? { trial: trial.id, seconds, ratings }
      : { trial: trial.id, seconds, first, choice, ...(test.design === "abx" ? { x: trial.hidden[2] } : {}) };
    state.draft = null;
    if (collector && !state.unsent.includes(trial.id)) state.unsent.push(trial.id);
    save();
    send();
  }
  proceed();
}

function proceed() {
  if (practice >= 0) return open();
  at = trials.findIndex((trial) => !isDone(trial));
  return at < 0 ? finish() : open();
}

function back(to) {
  if (to < 0) return;
  at = to;
  open();
}

function finish() {
  opening++;
  player.stop();
  showOnly("end");
  byId("progress").value = 1;
  showSaved();
  byId("end").querySelector("h2").focus();
}

function showSaved() {
  const waiting = state.unsent.length;
  byId("saved").textContent = !collector ? "Save the answers as a file, and give it to whoever asked you."
    : waiting ? `${waiting} of your answers have not arrived. Send them again, or save them as a file.` : "All your answers have arrived.";
  byId("send").hidden = !(collector && waiting);
  byId("review").hidden = !Object.keys(state.answers).length;
}

/** One after the other, so that a later answer to the same trial arrives later. */
function send() {
  sending ??= (async () => {
    while (state.unsent.length) {
      const [id] = state.unsent, answer = state.answers[id];
      const reply = await fetch(collector, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ test: test.id, listener, answer }),
      });
      if (!reply.ok) throw new Error((await reply.json().catch(() => ({}))).error ?? reply.statusText);
      if (state.answers[id] === answer) state.unsent.shift();
      save();
      trouble("");
    }
  })().catch((error) => trouble(`An answer has not arrived (${error.message}). It is kept in this browser, and sent again with the next one.`))
    .finally(() => { sending = null; if (!byId("end").hidden) showSaved(); });
  return sending;
}

function download() {
  const content = JSON.stringify({
    "listening test answers": 1,
    test: { format: test.format, id: test.id, title: test.title, design: test.design, trials: test.trials },
    listener, key: collector ? "" : state.key, answers: Object.values(state.answers),
  }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  link.download = `${test.title}-${listener}`.replace(/[^\p{L}\p{N}]+/gu, "-").toLowerCase() + ".json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* ---------- the loop ---------- */

function setLoop(from, to) {
  const length = player.length, least = Math.min(shortest, length);
  from = Math.min(Math.max(from, 0), length - least);
  to = Math.min(Math.max(to, from + least), length);
  player.loop(from, to);
  byId("from").value = 1000 * from / length;
  byId("to").value = 1000 * to / length;
  byId("from-text").textContent = `${from.toFixed(2)} s`;
  byId("to-text").textContent = `${to.toFixed(2)} s`;
  drawPlace();
}

let outline = null;

/** The outline of the first known sound: the reference, or A. */
function drawWave() {
  const canvas = byId("wave"), samples = player.buffers[0].getChannelData(0), columns = canvas.width / 2;
  outline = Array.from({ length: columns }, (_, column) => {
    let most = 0;
    const end = Math.floor((column + 1) * samples.length / columns);
    for (let i = Math.floor(column * samples.length / columns); i < end; i += 4) most = Math.max(most, Math.abs(samples[i]));
    return most;
  });
  const top = Math.max(...outline, 1e-6);
  outline = outline.map((value) => value / top);
}

function drawPlace() {
  if (!outline || byId("trial").hidden) return;
  const canvas = byId("wave"), brush = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const across = (seconds) => canvas.width * seconds / player.length, middle = canvas.height / 2;
  brush.clearRect(0, 0, canvas.width, canvas.height);
  brush.fillStyle = style.getPropertyValue("--accent-soft");
  brush.fillRect(across(player.region[0]), 0, across(player.region[1] - player.region[0]), canvas.height);
  brush.fillStyle = style.getPropertyValue("--soft");
  outline.forEach((value, i) => brush.fillRect(2 * i, middle - 0.9 * middle * value, 1, Math.max(1, 1.8 * middle * value)));
  brush.fillStyle = style.getPropertyValue("--accent");
  brush.fillRect(across(player.position) - 1, 0, 3, canvas.height);
  if (player.playing) requestAnimationFrame(drawPlace);
}

let dragged = null;
const secondsAt = (event) => {
  const box = byId("wave").getBoundingClientRect();
  return player.length * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
};
byId("wave").addEventListener("pointerdown", (event) => {
  if (!player?.buffers.length) return;
  dragged = secondsAt(event);
  byId("wave").setPointerCapture(event.pointerId);
});
byId("wave").addEventListener("pointerup", (event) => {
  if (dragged === null) return;
  const end = secondsAt(event);
  if (Math.abs(end - dragged) > 0.02 * player.length) setLoop(Math.min(dragged, end), Math.max(dragged, end));
  dragged = null;
});
byId("wave").addEventListener("pointercancel", () => { dragged = null; });
byId("from").addEventListener("change", () => setLoop(Math.min(byId("from").value * player.length / 1000, player.region[1] - shortest), player.region[1]));
byId("to").addEventListener("change", () => setLoop(player.region[0], Math.max(byId("to").value * player.length / 1000, player.region[0] + shortest)));
byId("whole").addEventListener("click", () => setLoop(0, player.length));

/* ---------- keys ---------- */

const keys = [
  ["Space", "play and pause"],
  ...(isRating ? [["1 … 9", "listen to a sound and rate it"], ["← →", "the sound before or after"], ["↑ ↓", "one point more or less"],
    ["Page ↑ ↓", "ten points more or less"], ["Home End", "0 and 100"]]
    : [[test.design === "abx" ? "A B X" : "A B", "listen"], ["1 2", "answer with the left or the right button"]]),
  ...(test.design === "abx" ? [] : [["0 R", "listen to the reference"]]),
  ["[ ]", "the loop starts or ends here"], ["\\", "loop the whole sound"], ["Enter", "next"], ["Backspace", "back"],
];
byId("keys").replaceChildren(...keys.flatMap(([key, does]) => {
  const term = document.createElement("dt"), meaning = document.createElement("dd");
  term.replaceChildren(...key.split(" ").filter((k) => k !== "…").flatMap((k, i) => {
    const made = document.createElement("kbd");
    made.textContent = k;
    return i ? [key.includes("…") ? " … " : " ", made] : [made];
  }));
  meaning.textContent = does;
  return [term, meaning];
}));

/** Whether the key was taken. */
function press(key, target) {
  const { known, hidden } = soundsOf(current());
  const onButton = target.matches?.("button, summary"), digit = /^[0-9]$/.test(key) ? Number(key) : -1;
  const sound = (i) => {
    const slider = byId("sounds").children[i]?.querySelector("input");
    if (slider && document.activeElement !== slider) slider.focus(); else if (hidden[i]) listen(known.length + i);
  };
  if (key === " " && !onButton) toggle();
  else if (key === "Enter" && !onButton) next();
  else if (key === "Backspace") back(previous());
  else if ((digit === 0 || key.toLowerCase() === "r") && known.length) listen(0);
  else if (isRating && digit > 0 && digit <= hidden.length) sound(digit - 1);
  else if (isRating && (key === "ArrowLeft" || key === "ArrowRight") && !["from", "to"].includes(target.id)) {
    const i = player.heard - known.length, step = key === "ArrowLeft" ? -1 : 1;
    sound(i < 0 ? 0 : Math.min(Math.max(i + step, 0), hidden.length - 1));
  } else if (!isRating && (digit === 1 || digit === 2)) choose(digit - 1);
  else if (!isRating && letters.slice(0, hidden.length).includes(key.toUpperCase())) listen(known.length + letters.indexOf(key.toUpperCase()));
  else if (key === "[") setLoop(Math.min(player.position, player.region[1] - shortest), player.region[1]);
  else if (key === "]") setLoop(player.region[0], Math.max(player.position, player.region[0] + shortest));
  else if (key === "\\") setLoop(0, player.length);
  else return false;
  return true;
}
document.addEventListener("keydown", (event) => {
  if (byId("trial").hidden || event.ctrlKey || event.metaKey || event.altKey || !player.buffers.length) return;
  if (press(event.key, event.target)) event.preventDefault();
});

/* ---------- begin ---------- */

byId("play").addEventListener("click", toggle);
byId("next").addEventListener("click", next);
byId("back").addEventListener("click", () => back(previous()));
byId("review").addEventListener("click", () => back(trials.findLastIndex((trial) => trial.id in state.answers)));
byId("download").addEventListener("click", download);
byId("send").addEventListener("click", send);
byId("name").addEventListener("input", () => { byId("taken").hidden = true; byId("begin").textContent = "Begin"; });

let agreed = "";
byId("naming").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("name").value.trim();
  if (!name) return;
  const here = newContext();  // at the press, or phones stay silent
  const there = stored(place(name)) !== null;
  let answered = [];
  if (collector) {
    try {
      const reply = await fetch(`listener?name=${encodeURIComponent(name)}`), found = await reply.json();
      if (!reply.ok) throw new Error(found.error);
      answered = found.answered;
    } catch (error) {
      here.close();
      trouble(`The computer that collects the answers does not reply (${error.message}). Try again.`);
      return;
    }
    trouble("");
    if (answered.length && !there && agreed !== name) {
      agreed = name;
      byId("taken").textContent = `“${name}” has answered ${answered.length} of ${test.trials.length} trials. If that is you, continue; if not, choose another name.`;
      byId("taken").hidden = false;
      byId("begin").textContent = "Continue";
      here.close();
      return;
    }
  }
  listener = name;
  state = stateOf(name);
  if (collector) {
    // the server may have lost its answers, or have answers from another browser
    state.elsewhere = answered.filter((id) => !(id in state.answers));
    for (const id of Object.keys(state.answers)) if (!answered.includes(id) && !state.unsent.includes(id)) state.unsent.push(id);
  }
  trials = ordered(name);
  player = new Player(here);
  save();
  store(lastPlace, name);
  if (!storing) trouble("This browser does not keep your answers. Do not close the page before you have saved them.");
  practice = state.trained < test.training && !Object.keys(state.answers).length && !state.elsewhere.length ? state.trained : -1;
  here.resume();
  if (collector) send();
  proceed();
});

byId("name").value = stored(lastPlace) ?? "";
byId("length").textContent = `${test.trials.length} trial${test.trials.length > 1 ? "s" : ""}` +
  (test.training ? `, and ${test.training} to practise on first.` : ".") + " Loop a part to compare it, and switch between the sounds at any time.";
byId("kept").textContent = collector ? "Your answers and the name go to the computer that this page comes from, and stay in this browser. Nothing else is kept."
  : "Your answers stay in this browser until you save them as a file.";
showOnly("start");
