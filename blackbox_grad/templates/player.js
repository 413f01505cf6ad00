"use strict";
(() => {
  document.documentElement.classList.add("js");
  const seconds = {{ player.seconds | tojson }}, names = {{ player.keys | tojson }};
  const levels = {{ player.levels | tojson }}, repeating = {{ player.repeating | tojson }};
  const byId = (id) => document.getElementById(id);
  const playButton = byId("play"), seek = byId("seek"), clock = byId("clock"), loop = byId("loop"), equal = byId("equal");
  const heads = document.querySelectorAll(".head");
  let context = null, buffers = {}, gains = {}, sources = [], heard = names[names.length - 1], playing = false, offset = 0, began = 0;

  const position = () => playing ? offset + context.currentTime - began : offset;

  function show() {
    const now = Math.min(position(), seconds);
    seek.value = now / seconds;
    playButton.textContent = playing ? "❚❚ Pause" : "▶ Play";
    clock.textContent = `${now.toFixed(1)} / ${seconds.toFixed(1)} s`;
    heads.forEach((head) => { head.style.left = `${100 * now / seconds}%`; });
  }
  function frame() {
    if (!playing) return;
    if (position() >= seconds) { stop(); offset = 0; if (loop.checked) start(); }
    show();
    if (playing) requestAnimationFrame(frame);
  }
  async function decode() {
    context = new (window.AudioContext || window.webkitAudioContext)();
    for (const name of names) {
      const text = atob(byId("audio-" + name).src.split(",")[1]);
      buffers[name] = await context.decodeAudioData(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
    }
  }
  const loudness = (name) => name !== heard ? 0 : equal?.checked ? levels[name] : 1;
  function start() {
    began = context.currentTime;
    sources = names.map((name) => {
      const source = context.createBufferSource(), gain = context.createGain();
      source.buffer = buffers[name];
      gain.gain.value = loudness(name);
      source.connect(gain).connect(context.destination);
      source.loop = repeating.includes(name);
      source.start(0, source.loop ? offset % buffers[name].duration : Math.min(offset, buffers[name].duration));
      gains[name] = gain.gain;
      return source;
    });
    playing = true;
  }
  function stop() {
    offset = position();
    sources.forEach((source) => source.stop());
    sources = []; gains = {}; playing = false;
  }
  async function toggle() {
    if (playing) { stop(); } else {
      playButton.disabled = true;
      if (!context) await decode();
      await context.resume();
      playButton.disabled = false;
      names.forEach((name) => byId("audio-" + name).pause());
      start();
      requestAnimationFrame(frame);
    }
    show();
  }
  function mix() {
    for (const [name, gain] of Object.entries(gains)) gain.setTargetAtTime(loudness(name), context.currentTime, 0.006);
  }
  function hear(name) {
    heard = name;
    document.querySelectorAll("[data-hear]").forEach((b) => b.setAttribute("aria-pressed", b.dataset.hear === name));
    mix();
  }
  function move(part) {
    const on = playing;
    if (on) stop();
    offset = Math.min(Math.max(part, 0), 0.9999) * seconds;
    if (on) start();
    show();
  }
  playButton.addEventListener("click", toggle);
  document.querySelectorAll("[data-hear]").forEach((b) => b.addEventListener("click", () => hear(b.dataset.hear)));
  equal?.addEventListener("change", mix);
  seek.addEventListener("input", () => move(Number(seek.value)));
  document.querySelectorAll(".picture").forEach((picture) => picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("button, input, audio, summary")) {
      if (!(names[Number(event.key) - 1] && event.target.closest?.("button"))) return;
    }
    if (event.key === " ") { event.preventDefault(); toggle(); }
    if (names[Number(event.key) - 1]) hear(names[Number(event.key) - 1]);
  });
})();
