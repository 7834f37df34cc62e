// A viewer on the page: stage, bars and sliders around one state.

import { Legend, People, Timeline } from "./bars.js";
import { BodyModel } from "./body.js";
import { Editor } from "./editor.js";
import { Figure } from "./figure.js";
import { beyondLimits, jointHeat, KINDS, vertexDistance } from "./heat.js";
import { Input } from "./input.js";
import { Stage } from "./stage.js";
import { State } from "./state.js";
import { button, h, select, theme, toggle, watchTheme } from "./ui.js";

const WIDE = 760; // pixels from which the sliders stand beside the stage
const PULSE_MS = 90; // between two pictures of a flash
const SWITCHES = [
  ["wireframe", "wire", "wireframe"], ["skeleton", "bones", "skeleton: names on hover"],
  ["ground", "floor", "ground"], ["backdrop", "photo", "picture behind the body"],
];

export class Viewer {
  // packs: the bodies' arrays, in the scene's order; pictures: an address of each person's, or none
  constructor(model, root, packs, pictures) {
    this.state = new State(model);
    this.root = root;
    this.pictures = pictures;
    this.models = packs.map((pack) => new BodyModel(pack));
    this.joints = this.state.scene.joints;
    this.build();
    this.stage = new Stage(this.canvas, () => this.drawn());
    this.stage.onContext = (lost) => {
      this.notice.hidden = !lost;
      this.notice.textContent = lost ? "The graphics card is busy; waiting for it to come back." : "";
    };
    this.figures = this.state.scene.figures.map(({ body, colour }, index) =>
      Object.assign(new Figure(this.models[body], colour), { index }));
    this.listen(model);
    this.showPerson();
    this.group();
    this.pose();
    this.home();
    this.resize();
    for (const name of ["speed", "playing"]) this.handlers[name]();
  }

  build() {
    const { scene } = this.state;
    this.canvas = h("canvas", { tabindex: 0, role: "img" });
    this.names = h("div", { class: "hmr-names", "aria-hidden": "true" });
    this.notice = h("div", { class: "hmr-notice", role: "alert", hidden: true });
    this.face = scene.pictures
      ? h("img", { class: "hmr-photo", alt: "the picture that the models saw" }) : null;
    this.view = h("div", { class: "hmr-view" }, this.canvas, this.names, this.notice);
    this.stageBox = h("div", { class: "hmr-stage" }, this.face, this.view);
    this.setHeight();
    this.legend = new Legend(scene.ramp);
    this.editor = scene.editable && scene.axes
      ? new Editor(this.state, (what) => this.edited(what)) : null;
    this.people = scene.people.length > 1
      ? new People({ labels: scene.people, pictures: this.pictures, pick: (k) => this.go({ person: k }) })
      : null;
    this.time = scene.steps.length > 1
      ? new Timeline({
        labels: scene.steps, name: scene.stepName, go: (k) => this.go({ step: k }),
        told: (values) => this.state.tell(values),
      }) : null;
    this.main = h("div", { class: "hmr-main" },
      h("div", { class: "hmr-middle" }, this.stageBox, this.legend.element,
        this.time?.element ?? null, this.people?.element ?? null),
      this.editor?.element ?? null);
    this.root.replaceChildren(this.bar(), this.main);
    this.root.dataset.theme = theme();
  }

  bar() {
    const { scene } = this.state;
    const posable = Boolean(scene.axes);
    const able = { skeleton: posable, backdrop: scene.pictures };
    this.switches = {};
    const switches = SWITCHES.filter(([name]) => able[name] !== false).map(([name, sign, label]) => {
      this.switches[name] = toggle(sign, label, (down) => this.state.tell({ [name]: down }));
      return this.switches[name].element;
    });
    this.overlay = scene.figures.length > 1 && toggle("overlay", "laid over one another", (down) =>
      this.state.tell({ overlaid: down }));
    const truth = scene.reference !== null;
    const kinds = Object.entries(KINDS).filter(([kind]) =>
      posable && (kind === "none" || kind === "twist" || truth));
    this.heat = kinds.length > 1 && select(
      "heat: what the colours show", kinds.map(([kind, { title }]) => [kind, title]),
      (kind) => this.state.tell({ heat: kind }),
    );
    return h("div", { class: "hmr-bar", role: "group", "aria-label": "view" },
      button("home", "reset the view (R)", () => this.home()),
      button("plus", "nearer (+)", () => this.stage.zoom(0.8)),
      button("minus", "farther (−)", () => this.stage.zoom(1.25)),
      h("span", { class: "hmr-gap" }), ...switches, this.overlay ? this.overlay.element : null,
      this.heat || null, h("span", { class: "hmr-title" }, scene.title));
  }

  listen(model) {
    const { state } = this;
    this.handlers = {
      pose: () => this.arrived("pose"), betas: () => this.arrived("betas"),
      translation: () => this.arrived("translation"),
      person: () => this.showPerson(), step: () => this.showPerson(), heat: () => this.paint(),
      overlaid: () => this.group(), joint: () => this.chosen(), frame: () => this.home(),
      speed: () => this.time?.setSpeed(state.get("speed")),
      playing: () => this.time?.setPlaying(state.get("playing")),
      height: () => this.setHeight(),
    };
    for (const [name] of SWITCHES) this.handlers[name] = () => this.arrange();
    for (const [name, handler] of Object.entries(this.handlers)) {
      model.on(`change:${name}`, handler);
    }
    this.unwatchTheme = watchTheme(() => {
      this.root.dataset.theme = theme();
    });
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.view);
    this.sizes.observe(this.root);
    this.input = new Input(this);
  }

  // Numbers that came from elsewhere: the kernel, or another view of the same viewer.
  arrived(name) {
    if (this.sending) return;
    this.state.read(name);
    this.poseSoon ??= requestAnimationFrame(() => { // of many that come at once, the last counts
      this.poseSoon = undefined;
      this.pose();
      this.editor?.refresh();
    });
  }

  edited(what) {
    this.pose();
    this.unsent = { ...this.unsent, [what]: true };
    this.sendSoon ??= requestAnimationFrame(() => {
      this.sendSoon = undefined;
      this.send(Object.keys(this.unsent));
      this.unsent = {};
    });
  }

  send(names, values = {}) {
    this.sending = true; // our own words come back at once
    this.state.send(names, values);
    this.sending = false;
  }

  go({ person = this.state.get("person"), step = this.state.get("step") }) {
    this.state.go(person, step);
    this.send(["pose", "betas", "translation"], { person, step });
    this.showPerson();
  }

  showPerson() {
    const [person, step] = [this.state.get("person"), this.state.get("step")];
    this.people?.set(person);
    this.time?.set(step);
    if (this.shownPerson !== person) this.setPicture(person);
    const other = this.shownPerson !== person;
    this.shownPerson = person;
    if (this.state.go(person, step) && this.stage.panels.length) {
      this.pose();
      if (other) this.stage.measure();
      this.editor?.refresh();
    }
  }

  setPicture(person) {
    const address = this.pictures[person];
    if (!address) return;
    if (this.face) this.face.src = address;
    this.image = new Image();
    this.image.src = address;
    this.image.decode().then(() => {
      for (const panel of this.stage.panels) panel.setPicture(this.image);
      this.arrange();
    }, () => {});
  }

  setHeight() {
    this.stageBox.style.flexBasis = `${this.state.get("height")}px`;
  }

  // Which bodies share a panel.
  group() {
    const overlaid = this.state.get("overlaid");
    this.stage.setPanels(overlaid ? [this.figures] : this.figures.map((figure) => [figure]));
    if (this.image?.complete) for (const panel of this.stage.panels) panel.setPicture(this.image);
    if (this.overlay) this.overlay.set(overlaid);
    const { figures } = this.state.scene;
    const label = ({ name, colour }) => h(
      "span", {}, swatch(colour), h("span", { class: "hmr-name" }, name),
    );
    this.labels = overlaid
      ? [h("div", {}, ...figures.map(label))] : figures.map((one) => h("div", {}, label(one)));
    this.named = figures.length > 1 || Boolean(figures[0].name);
    this.names.replaceChildren(...(this.named ? this.labels : []));
    if (this.stage.box) this.arrange();
  }

  pose() {
    this.figures.forEach((figure, k) =>
      figure.set(this.state.of("pose", k), this.state.of("betas", k)));
    this.paint();
  }

  paint() {
    const { scene } = this.state;
    const kind = this.state.get("heat");
    const truth = scene.reference;
    const most = scene.most[kind];
    const words = [];
    for (const figure of this.figures) {
      const pose = this.state.of("pose", figure.index);
      let values = null, beyond = [];
      if (kind === "distance") {
        values = new Float32Array(figure.model.count);
        vertexDistance(figure.body, this.figures[truth].body, values);
      } else if (kind !== "none") {
        const other = truth === null ? null : this.state.of("pose", truth);
        const each = jointHeat(kind, pose, other, scene.axes);
        values = figure.model.spread(each, new Float32Array(figure.model.count));
      }
      if (kind === "twist") beyond = beyondLimits(pose, scene.axes, scene.limits);
      figure.warn(beyond.map(({ joint }) => joint));
      figure.alarmed = beyond.length > 0;
      figure.paint(values, most, scene.ramp, scene.pale?.[this.state.get("person")]);
      const who = this.figures.length > 1 ? `${scene.figures[figure.index].name}: ` : "";
      words.push(...beyond.map((one) => who + this.beyondWords(one)));
    }
    this.legend.set(kind, most);
    this.legend.warn(words);
    if (this.heat) this.heat.value = kind;
    this.arrange();
    this.flash();
  }

  beyondWords({ joint, twist, swing, mostTwist, mostSwing }) {
    const name = this.joints[joint].replace("_", " ");
    if (Math.abs(twist) > mostTwist) return `${name} twisted ${Math.abs(twist).toFixed(0)}°`;
    return `${name} swung ${swing.toFixed(0)}° (of ${mostSwing}°)`;
  }

  // Joints beyond their limits flash, slowly; for those who want no motion they stay lit.
  flash() {
    const alarmed = this.figures.some((figure) => figure.alarmed);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (alarmed && !still) {
      this.flashing ??= setInterval(() => this.stage.redraw(), PULSE_MS);
    } else {
      clearInterval(this.flashing);
      this.flashing = undefined;
    }
    this.still = still;
  }

  pulse() {
    return this.still ? 0.8 : 0.5 - 0.5 * Math.cos((performance.now() / 1200) * 2 * Math.PI);
  }

  arrange() {
    const { state } = this;
    for (const [name, one] of Object.entries(this.switches)) one.set(state.get(name));
    const places = this.figures.map((figure) => Array.from(state.of("translation", figure.index)));
    const backdrop = state.get("backdrop") && Boolean(this.image?.complete);
    this.stage.arrange({
      upsideDown: state.get("frame") === "camera",
      floor: state.get("ground"),
      named: this.named,
      half: backdrop && places.every(([, , z]) => z > 0) ? state.scene.half : 0,
      places,
      look: (figure) => ({
        wireframe: state.get("wireframe"),
        skeleton: state.get("skeleton"),
        selected: this.editor && figure.index === this.editor.figure ? state.joint : -1,
        pulse: figure.alarmed ? this.pulse() : 0,
      }),
    });
    if (this.wasBackdrop !== Boolean(backdrop)) this.aim(backdrop);
    this.wasBackdrop = Boolean(backdrop);
    if (this.face) this.face.hidden = this.wasBackdrop; // or it stands there twice
    this.describe();
  }

  home() {
    this.stage.arrange({ ...this.stage.settings, upsideDown: this.state.get("frame") === "camera" });
    this.stage.measure();
    this.aim(this.wasBackdrop);
  }

  aim(straight) {
    const { yaw, pitch } = this.state.scene.view;
    this.stage.look(straight ? 0 : yaw, straight ? 0 : pitch);
  }

  chosen() {
    if (this.editor && this.state.joint >= 0) this.editor.refresh();
    this.arrange();
  }

  resize() {
    this.root.classList.toggle("hmr-wide", this.root.clientWidth >= WIDE);
    const { clientWidth, clientHeight } = this.view;
    if (clientWidth && clientHeight) {
      this.stage.resize(clientWidth, clientHeight, Math.min(devicePixelRatio || 1, 2));
    }
  }

  drawn() {
    if (this.labels) {
      this.stage.panels.forEach((panel, k) => {
        if (!this.labels[k]) return;
        Object.assign(this.labels[k].style, {
          left: `${panel.x}px`, bottom: `${this.view.clientHeight - panel.y}px`,
          width: `${panel.width}px`,
        });
      });
    }
    this.root.dataset.pictures = this.stage.pictures; // counted, for whoever measures
  }

  // What the canvas shows, for those who hear it.
  describe() {
    const { scene } = this.state;
    const names = scene.figures.map(({ name }) => name || "a body").join(", ");
    const warned = this.legend.beyond.textContent;
    const text = `3D view: ${names}. ${warned} Arrow keys turn it, plus and minus zoom, R resets.`;
    this.canvas.setAttribute("aria-label", text.replace(/ +/g, " "));
  }

  // Vertices of a figure, (3 V) metres in the body's own frame, as `Body` gives them.
  vertices(figure = 0) {
    return this.figures[figure].body.positions;
  }

  dispose(model) {
    for (const [name, handler] of Object.entries(this.handlers)) {
      model.off(`change:${name}`, handler);
    }
    clearInterval(this.flashing);
    this.input.dispose();
    cancelAnimationFrame(this.sendSoon);
    cancelAnimationFrame(this.poseSoon);
    this.unwatchTheme();
    this.sizes.disconnect();
    this.time?.dispose();
    for (const figure of this.figures) figure.dispose();
    this.stage.dispose();
  }
}

function swatch(colour) {
  const element = h("i", { class: "hmr-swatch" });
  element.style.background = colour;
  return element;
}
