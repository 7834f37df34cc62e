// One body on the stage: its skin, the lines on it, its skeleton.

import {
  BufferAttribute, BufferGeometry, Color, DoubleSide, DynamicDrawUsage, Group, Mesh,
} from "three";
import { PosedBody } from "./body.js";
import { colourAt } from "./heat.js";
import { BEHIND_LINES, bodyMaterial, lineMaterial } from "./materials.js";
import { Skeleton } from "./skeleton.js";

const SEE_THROUGH = 0.42; // opacity of the skin over a skeleton

export class Figure {
  constructor(model, colour) {
    this.model = model;
    this.body = new PosedBody(model);
    this.plain = new Color(colour); // three keeps colours linear
    this.geometry = new BufferGeometry();
    const attributes = {
      position: [this.body.positions, 3],
      normal: [this.body.normals, 3],
      cavity: [this.body.cavity, 1],
      tint: [new Float32Array(3 * model.count), 3],
      alarm: [new Float32Array(model.count), 1],
    };
    for (const [name, [values, size]] of Object.entries(attributes)) {
      this.geometry.setAttribute(name, new BufferAttribute(values, size).setUsage(DynamicDrawUsage));
    }
    this.geometry.setIndex(new BufferAttribute(model.faces, 1));
    this.skin = new Mesh(this.geometry, bodyMaterial());
    // First only depth, so that a see-through skin shows its front and nothing behind.
    this.depth = new Mesh(this.geometry, lineMaterial("#000", 1, {
      colorWrite: false, side: DoubleSide, ...BEHIND_LINES,
    }));
    this.wires = new Mesh(this.geometry, lineMaterial("#10182a", 0.3, { wireframe: true }));
    this.depth.renderOrder = 0;
    this.skin.renderOrder = 1;
    this.wires.renderOrder = 2;
    this.group = new Group();
    this.group.add(this.depth, this.skin, this.wires);
    for (const mesh of [this.depth, this.skin, this.wires]) mesh.frustumCulled = false;
    if (model.posable) {
      this.skeleton = new Skeleton(model.parents);
      this.group.add(this.skeleton.group);
    }
    this.paint(null);
  }

  set(pose, betas) {
    this.body.set(pose, betas);
    this.touch("position", "normal", "cavity");
  }

  // values: a number of each vertex, shown by `ramp` from 0 to `most`; null for the plain colour,
  // which is on its way to white by the share in `pale` of each joint
  paint(values, most, ramp, pale) {
    const tint = this.geometry.attributes.tint.array;
    if (!values) {
      const own = this.model.tints;
      const plain = [this.plain.r, this.plain.g, this.plain.b];
      for (let i = 0; i < tint.length; i++) tint[i] = own ? (own[i] / 255) ** 2.2 : plain[i % 3];
      if (pale && this.model.posable) {
        const shares = this.model.spread(pale, new Float32Array(this.model.count));
        for (let i = 0; i < tint.length; i++) {
          const shown = tint[i] ** (1 / 2.2);
          tint[i] = (shown + (1 - shown) * shares[Math.floor(i / 3)]) ** 2.2;
        }
      }
    } else {
      const colour = [0, 0, 0];
      for (let v = 0; v < values.length; v++) {
        colourAt(ramp, values[v] / most, colour);
        for (let k = 0; k < 3; k++) tint[3 * v + k] = colour[k] ** 2.2;
      }
    }
    this.touch("tint");
  }

  // joints: numbers of those that flash
  warn(joints) {
    const alarm = this.geometry.attributes.alarm.array;
    alarm.fill(0);
    if (joints.length) {
      const flags = new Float32Array(this.model.parents.length);
      for (const joint of joints) flags[joint] = 1;
      this.model.spread(flags, alarm);
    }
    this.touch("alarm");
  }

  look({ wireframe, skeleton, selected, pulse }) {
    this.wires.visible = wireframe;
    for (const mesh of [this.depth, this.skin]) mesh.material.polygonOffset = wireframe;
    const through = skeleton && this.skeleton;
    this.depth.visible = Boolean(through);
    this.skin.material.transparent = Boolean(through);
    this.skin.material.uniforms.opacity.value = through ? SEE_THROUGH : 1;
    this.skin.material.uniforms.pulse.value = pulse;
    this.skeleton?.update(this.body.joints, selected, skeleton);
  }

  touch(...names) {
    for (const name of names) this.geometry.attributes[name].needsUpdate = true;
  }

  dispose() {
    this.group.removeFromParent();
    this.geometry.dispose();
    for (const mesh of [this.skin, this.depth, this.wires]) mesh.material.dispose();
    this.skeleton?.dispose();
  }
}
