// What stands around the stage: people to pick, steps to scrub, the legend of the heat.

import { KINDS } from "./heat.js";
import { button, h, icon, select, unique } from "./ui.js";

const STEPS_A_SECOND = 4;

export class People {
  constructor({ labels, pictures, pick }) {
    this.buttons = labels.map((label, k) => h(
      "button", {
        type: "button", title: label, "aria-label": label, "aria-pressed": "false",
        onclick: () => pick(k), class: pictures[k] ? "hmr-face" : "hmr-word",
      },
      pictures[k] ? h("img", { src: pictures[k], alt: "", draggable: "false" }) : label,
    ));
    this.element = h(
      "div", { class: "hmr-people", role: "group", "aria-label": "people" }, ...this.buttons,
    );
  }

  set(person) {
    this.buttons.forEach((one, k) => one.setAttribute("aria-pressed", String(k === person)));
    const chosen = this.buttons[person];
    const row = this.element;
    if (chosen.offsetLeft < row.scrollLeft) row.scrollLeft = chosen.offsetLeft;
    const right = chosen.offsetLeft + chosen.offsetWidth;
    if (right > row.scrollLeft + row.clientWidth) row.scrollLeft = right - row.clientWidth;
  }
}

export class Timeline {
  // go: called with a step; told: with {playing} or {speed} when they change here
  constructor({ labels, name, go, told }) {
    Object.assign(this, { labels, go, told, step: 0, speed: 1 });
    const id = unique("steps");
    this.play = button("play", "play", () => this.told({ playing: !this.playing }));
    this.input = h("input", {
      type: "range", id, min: 0, max: labels.length - 1, step: 1, value: 0,
      "aria-label": name, oninput: () => go(Number(this.input.value)),
    });
    this.text = h("output", { for: id, class: "hmr-step" });
    const widest = Math.max(...labels.map((label) => label.length));
    this.text.style.minWidth = `min(${widest}ch, 45%)`;
    this.pace = select(
      "speed", [0.25, 0.5, 1, 2, 4].map((x) => [x, `${x}×`]),
      (value) => this.told({ speed: Number(value) }),
    );
    this.element = h(
      "div", { class: "hmr-time", role: "group", "aria-label": "timeline" },
      this.play, button("back", "one step back", () => this.move(-1)), this.input,
      button("next", "one step on", () => this.move(1)), this.text, this.pace,
    );
    this.setSpeed(1);
    this.set(0);
  }

  set(step) {
    this.step = step;
    this.input.value = step;
    this.text.textContent = this.labels[step];
    this.input.setAttribute("aria-valuetext", this.labels[step]);
  }

  move(by) {
    this.go(Math.min(Math.max(this.step + by, 0), this.labels.length - 1));
  }

  setSpeed(speed) {
    this.speed = speed;
    this.pace.value = String(speed);
    if (this.playing) this.setPlaying(true);
  }

  setPlaying(playing) {
    clearInterval(this.clock);
    this.playing = playing;
    this.play.replaceChildren(icon(playing ? "pause" : "play"));
    this.play.setAttribute("aria-label", playing ? "pause" : "play");
    this.play.title = playing ? "pause" : "play";
    if (!playing) return;
    if (this.step === this.labels.length - 1) this.go(0);
    this.clock = setInterval(() => {
      if (this.step < this.labels.length - 1) this.move(1);
      else this.told({ playing: false });
    }, 1000 / STEPS_A_SECOND / this.speed);
  }

  dispose() {
    clearInterval(this.clock);
  }
}

export class Legend {
  constructor(ramp) {
    const stops = ramp.map((colour) => `rgb(${colour.map((c) => Math.round(255 * c)).join(" ")})`);
    this.bar = h("div", { class: "hmr-ramp" });
    this.bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    this.ticks = h("div", { class: "hmr-ticks" });
    this.title = h("div", { class: "hmr-legend-title" });
    this.beyond = h("div", { class: "hmr-beyond", role: "status" });
    this.element = h(
      "div", { class: "hmr-legend", hidden: true },
      this.title, h("div", { class: "hmr-scale" }, this.bar, this.ticks), this.beyond,
    );
  }

  set(kind, most) {
    this.element.hidden = kind === "none";
    if (kind === "none") return;
    const { legend, unit } = KINDS[kind];
    this.title.textContent = legend;
    const space = unit === "°" ? "" : " ";
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share, k) => h(
      "span", {}, `${k === 4 ? "≥ " : ""}${+(share * most).toPrecision(3)}${space}${unit}`,
    ));
    this.ticks.replaceChildren(...ticks);
  }

  // words: a line for each joint beyond its limits
  warn(words) {
    this.beyond.hidden = !words.length;
    const shown = words.slice(0, 4).join(" · ");
    const rest = words.length > 4 ? ` · and ${words.length - 4} more` : "";
    const text = words.length ? `beyond what a person can: ${shown}${rest}` : "";
    if (this.beyond.textContent !== text) this.beyond.textContent = text;
  }
}
