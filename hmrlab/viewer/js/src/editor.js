// Sliders for the shape, and for one joint's rotation taken apart into swing and twist.

import {
  axisAngleToQuaternion, degrees, dot, fromSwingTwist, radians, swingDirections, swingTwist,
} from "./maths.js";
import { h, select, slider } from "./ui.js";

export class Editor {
  // state: see viewer.js; edited: called after each change of the numbers
  constructor(state, edited) {
    this.state = state;
    this.edited = edited;
    this.figure = 0;
    const { figures, joints } = state.scene;
    this.who = figures.length > 1 && select(
      "body to change", figures.map(({ name }, k) => [k, name]),
      (value) => this.turnTo(Number(value)),
    );
    this.betas = Array.from({ length: state.betas.length / figures.length }, (_, k) => slider({
      label: `β${k}`, unit: "", spoken: "standard deviations", least: -5, most: 5, step: 0.05,
      digits: 2,
      oninput: (value) => {
        state.betas[this.figure * this.betas.length + k] = value;
        edited("betas");
      },
    }));
    this.joint = select("joint", joints.map((name, k) => [k, name.replace("_", " ")]), (value) => {
      state.choose(Number(value));
    });
    const turn = (label) => slider({
      label, unit: "°", spoken: "degrees", least: -180, most: 180, step: 1,
      oninput: () => this.turnJoint(),
    });
    this.twist = turn("twist");
    this.swings = [turn("swing"), turn("swing")];
    this.limits = h("p", { class: "hmr-limits" });
    const reset = (what, label) => h(
      "button", { type: "button", class: "hmr-word", onclick: () => this.reset(what) }, label,
    );
    this.element = h(
      "div", { class: "hmr-side" }, this.who || null,
      h("details", { open: true, class: "hmr-joint" }, h("summary", {}, "Joint"), this.joint,
        this.twist.row, this.swings[0].row, this.swings[1].row, this.limits,
        reset("joint", "this joint to rest"), reset("pose", "all joints to rest")),
      h("details", { open: true, class: "hmr-shape" }, h("summary", {}, "Shape"),
        ...this.betas.map(({ row }) => row), reset("betas", "average shape")),
    );
    this.refresh();
  }

  // To another figure.
  turnTo(figure) {
    this.figure = figure;
    if (this.who) this.who.value = figure;
    this.refresh();
  }

  get at() {
    return 3 * (this.figure * this.state.scene.joints.length + this.chosen);
  }

  get chosen() {
    return Math.max(this.state.joint, 0);
  }

  // Sliders to where the numbers are.
  refresh() {
    const { betas, pose, scene } = this.state;
    this.betas.forEach((one, k) => one.set(betas[this.figure * this.betas.length + k]));
    this.joint.value = this.chosen;
    const axis = scene.axes[this.chosen];
    const q = axisAngleToQuaternion(Array.from(pose.subarray(this.at, this.at + 3)));
    const { swing, twist } = swingTwist(q, axis);
    this.twist.set(Math.round(degrees(twist) * 10) / 10);
    this.directions = swingDirections(axis);
    this.directions.forEach(({ name, about }, k) => {
      this.swings[k].rename(`swing ${name}`);
      this.swings[k].set(Math.round(degrees(dot(swing, about)) * 10) / 10);
    });
    this.say(degrees(twist), degrees(Math.hypot(...swing)));
  }

  turnJoint() {
    const angles = this.swings.map(({ input }) => radians(Number(input.value)));
    const swing = [0, 1, 2].map(
      (k) => angles[0] * this.directions[0].about[k] + angles[1] * this.directions[1].about[k],
    );
    const twist = Number(this.twist.input.value);
    const axis = this.state.scene.axes[this.chosen];
    this.state.pose.set(fromSwingTwist(swing, radians(twist), axis), this.at);
    this.say(twist, degrees(Math.hypot(...swing)));
    this.edited("pose");
  }

  say(twist, swing) {
    const limit = this.state.scene.limits[this.chosen];
    const free = limit.mostTwist >= 180 && limit.mostSwing >= 180;
    const over = Math.abs(twist) > limit.mostTwist + 0.5 || swing > limit.mostSwing + 0.5;
    this.limits.textContent = free
      ? "the whole body: it may face any way"
      : `a person can: twist ±${limit.mostTwist}°, swing ${limit.mostSwing}°`;
    this.limits.classList.toggle("hmr-over", over && !free);
  }

  reset(what) {
    const { pose, betas, scene } = this.state;
    const joints = 3 * scene.joints.length;
    if (what === "joint") pose.fill(0, this.at, this.at + 3);
    if (what === "pose") pose.fill(0, this.figure * joints, (this.figure + 1) * joints);
    if (what === "betas") {
      betas.fill(0, this.figure * this.betas.length, (this.figure + 1) * this.betas.length);
    }
    this.refresh();
    this.edited(what === "betas" ? "betas" : "pose");
  }
}
