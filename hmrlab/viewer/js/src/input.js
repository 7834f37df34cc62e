// Pointer, wheel and keys over a viewer's stage.

import { swingsAndTwists } from "./heat.js";
import { h } from "./ui.js";

const STILL = 4; // pixels that a pointer may move in a click
const HINT_MS = 1200;
const STEP = 10; // degrees a key turns
const KEYS = {
  ArrowLeft: (stage) => stage.turn(-STEP, 0), ArrowRight: (stage) => stage.turn(STEP, 0),
  ArrowUp: (stage) => stage.turn(0, STEP), ArrowDown: (stage) => stage.turn(0, -STEP),
  "+": (stage) => stage.zoom(0.87), "=": (stage) => stage.zoom(0.87),
  "-": (stage) => stage.zoom(1.15),
};

export class Input {
  constructor(viewer) {
    const { canvas, view } = viewer;
    this.viewer = viewer;
    this.tip = h("div", { class: "hmr-tip", hidden: true });
    this.hint = h("div", { class: "hmr-hint", hidden: true }, "Ctrl + wheel zooms, or click first");
    view.append(this.tip, this.hint);
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    canvas.addEventListener("pointerleave", () => this.pointAt(null));
    canvas.addEventListener("pointerdown", (event) => {
      this.pressed = [event.clientX, event.clientY];
    });
    canvas.addEventListener("click", (event) => this.click(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    // The page scrolls over a viewer, unless somebody means the viewer.
    view.addEventListener("wheel", (event) => this.wheel(event), { capture: true, passive: true });
  }

  found(event) {
    const { stage, state, canvas } = this.viewer;
    const box = canvas.getBoundingClientRect();
    const place = [event.clientX - box.left, event.clientY - box.top];
    return stage.pick(...place, state.get("skeleton"));
  }

  hover(event) {
    if (!event.buttons && this.viewer.joints) this.pointAt(this.found(event));
  }

  pointAt(found) {
    const { canvas, view, state, joints } = this.viewer;
    this.tip.hidden = !found;
    canvas.classList.toggle("hmr-pointing", Boolean(found));
    if (!found) return;
    const { figure, joint, panel } = found;
    const { twist } = swingsAndTwists(state.of("pose", figure.index), state.scene.axes)[joint];
    const [x, y] = panel.seen(figure, joint);
    const turned = joint ? `, twist ${twist.toFixed(0)}°`.replace("-", "−") : "";
    this.tip.textContent = joints[joint].replace("_", " ") + turned;
    this.tip.style.left = `${Math.min(Math.max(x, 60), view.clientWidth - 60)}px`;
    this.tip.style.top = `${Math.max(y - 12, 26)}px`;
  }

  click(event) {
    const { editor, state } = this.viewer;
    const [x, y] = this.pressed ?? [event.clientX, event.clientY];
    if (!editor || Math.hypot(event.clientX - x, event.clientY - y) > STILL) return;
    const found = this.found(event);
    if (!found) return;
    editor.turnTo(found.figure.index);
    state.choose(found.joint);
  }

  wheel(event) {
    const { stage, canvas } = this.viewer;
    const meant = event.ctrlKey || event.metaKey || document.activeElement === canvas;
    stage.orbit.enableZoom = meant;
    this.hint.hidden = meant;
    clearTimeout(this.hinted);
    this.hinted = setTimeout(() => {
      this.hint.hidden = true;
    }, HINT_MS);
  }

  key(event) {
    const { stage, state, time } = this.viewer;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = KEYS[event.key];
    if (action) action(stage);
    else if (event.key === "r" || event.key === "R") this.viewer.home();
    else if (event.key === " " && time) state.tell({ playing: !state.get("playing") });
    else if (event.key === "," && time) time.move(-1);
    else if (event.key === "." && time) time.move(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  dispose() {
    clearTimeout(this.hinted);
  }
}
