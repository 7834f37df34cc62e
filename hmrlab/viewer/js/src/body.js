// Linear blend skinning in the browser: the four steps of hmrlab/bodies/lbs.py, on typed arrays.

import { axisAngleToMatrix } from "./maths.js";

// What all bodies of one kind share: the arrays of one pack (see pack.js).
export class BodyModel {
  constructor(pack) {
    Object.assign(this, pack);
    this.count = this.template.length / 3;
    this.posable = Boolean(this.parents);
    if (!this.posable) return;
    this.starts = new Uint32Array(this.count + 1);
    for (let v = 0; v < this.count; v++) this.starts[v + 1] = this.starts[v] + this.skinCounts[v];
    this.mainJoint = this.heaviestJoints();
  }

  // The joint that moves each vertex most.
  heaviestJoints() {
    const main = new Uint8Array(this.count);
    for (let v = 0; v < this.count; v++) {
      let best = this.starts[v];
      for (let k = best; k < this.starts[v + 1]; k++) {
        if (this.skinWeights[k] > this.skinWeights[best]) best = k;
      }
      main[v] = this.skinJoints[best];
    }
    return main;
  }

  // Spreads a number of each joint over the vertices that it moves.
  spread(perJoint, out) {
    for (let v = 0; v < this.count; v++) {
      let sum = 0, whole = 0;
      for (let k = this.starts[v]; k < this.starts[v + 1]; k++) {
        sum += this.skinWeights[k] * perJoint[this.skinJoints[k]];
        whole += this.skinWeights[k];
      }
      out[v] = sum / whole;
    }
    return out;
  }
}

// One body with its pose and shape. `positions`, `normals` (3 V) and `joints` (3 J) are metres in
// the body's own frame, as `Body` in Python gives them.
export class PosedBody {
  constructor(model) {
    this.model = model;
    const n = 3 * model.count;
    this.positions = Float32Array.from(model.template);
    this.normals = new Float32Array(n);
    this.cavity = new Float32Array(model.count);
    if (model.posable) {
      const joints = model.parents.length;
      this.shaped = new Float32Array(n);
      this.corrected = model.correctives ? new Float32Array(n) : this.shaped;
      this.betas = new Float64Array(model.shapes.steps.length);
      this.local = new Float64Array(9 * joints);
      this.turned = new Float64Array(9 * joints);
      this.rest = new Float64Array(3 * joints);
      this.joints = new Float64Array(3 * joints);
      this.motions = new Float64Array(12 * joints);
      this.reshape();
    }
    this.shade();
  }

  // pose: 3 J numbers, axis-angles in radians; betas: as many as the model has.
  set(pose, betas) {
    if (!this.model.posable) return;
    if (betas.some((beta, k) => beta !== this.betas[k])) {
      this.betas.set(betas);
      this.reshape();
    }
    for (let j = 0; j < this.model.parents.length; j++) {
      axisAngleToMatrix(pose, this.local, 9 * j, 3 * j);
    }
    this.correct();
    this.walk();
    this.skin();
    this.shade();
  }

  reshape() {
    const { template, shapes, jointTemplate, jointShapes } = this.model;
    const n = template.length;
    this.shaped.set(template);
    this.rest.set(jointTemplate);
    for (let b = 0; b < this.betas.length; b++) {
      const beta = this.betas[b];
      if (beta === 0) continue;
      const step = beta * shapes.steps[b];
      // kept as x of all vertices, y of all, z of all: neighbours are alike, and pack better
      for (let axis = 0, row = b * n; axis < 3; axis++, row += n / 3) {
        for (let v = 0, i = axis; i < n; v++, i += 3) this.shaped[i] += step * shapes.values[row + v];
      }
      for (let i = 0; i < this.rest.length; i++) {
        this.rest[i] += beta * jointShapes[b * this.rest.length + i];
      }
    }
  }

  correct() {
    const { correctives, template } = this.model;
    if (!correctives) return;
    const n = template.length;
    this.corrected.set(this.shaped);
    for (let f = 0; f < correctives.steps.length; f++) {
      const at = f + 9; // the root has none
      const feature = this.local[at] - (f % 9 % 4 === 0 ? 1 : 0);
      if (Math.abs(feature) < 1e-9) continue;
      const step = feature * correctives.steps[f];
      for (let axis = 0, row = f * n; axis < 3; axis++, row += n / 3) {
        for (let v = 0, i = axis; i < n; v++, i += 3) {
          this.corrected[i] += step * correctives.values[row + v];
        }
      }
    }
  }

  // From the root outwards: where each joint goes, and how it is turned.
  walk() {
    const { parents } = this.model;
    const { local, turned, rest, joints, motions } = this;
    for (let j = 0; j < parents.length; j++) {
      const p = parents[j];
      if (j === 0) {
        for (let k = 0; k < 9; k++) turned[k] = local[k];
        for (let k = 0; k < 3; k++) joints[k] = rest[k];
      } else {
        for (let r = 0; r < 3; r++) {
          let place = joints[3 * p + r];
          for (let c = 0; c < 3; c++) {
            let sum = 0;
            for (let k = 0; k < 3; k++) sum += turned[9 * p + 3 * r + k] * local[9 * j + 3 * k + c];
            turned[9 * j + 3 * r + c] = sum;
            place += turned[9 * p + 3 * r + c] * (rest[3 * j + c] - rest[3 * p + c]);
          }
          joints[3 * j + r] = place;
        }
      }
      for (let r = 0; r < 3; r++) {
        let offset = joints[3 * j + r];
        for (let c = 0; c < 3; c++) {
          const value = turned[9 * j + 3 * r + c];
          motions[12 * j + 4 * r + c] = value;
          offset -= value * rest[3 * j + c];
        }
        motions[12 * j + 4 * r + 3] = offset;
      }
    }
  }

  skin() {
    const { starts, skinJoints, skinWeights, count } = this.model;
    const { motions, positions, corrected } = this;
    const m = new Float64Array(12);
    for (let v = 0; v < count; v++) {
      m.fill(0);
      let whole = 0;
      for (let k = starts[v]; k < starts[v + 1]; k++) {
        const weight = skinWeights[k], at = 12 * skinJoints[k];
        whole += weight;
        for (let i = 0; i < 12; i++) m[i] += weight * motions[at + i];
      }
      const x = corrected[3 * v], y = corrected[3 * v + 1], z = corrected[3 * v + 2];
      positions[3 * v] = (m[0] * x + m[1] * y + m[2] * z + m[3]) / whole;
      positions[3 * v + 1] = (m[4] * x + m[5] * y + m[6] * z + m[7]) / whole;
      positions[3 * v + 2] = (m[8] * x + m[9] * y + m[10] * z + m[11]) / whole;
    }
  }

  // Normals, each triangle counting by its area; then how far each vertex lies in a hollow, for the
  // shading: the neighbouring triangles' middles stand above it (+1) or below it (-1).
  shade() {
    const { positions: p, normals, cavity } = this;
    const { faces } = this.model;
    normals.fill(0);
    cavity.fill(0);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const ux = p[b] - p[a], uy = p[b + 1] - p[a + 1], uz = p[b + 2] - p[a + 2];
      const vx = p[c] - p[a], vy = p[c + 1] - p[a + 1], vz = p[c + 2] - p[a + 2];
      const nx = uy * vz - uz * vy, ny = uz * vx - ux * vz, nz = ux * vy - uy * vx;
      for (const at of [a, b, c]) {
        normals[at] += nx;
        normals[at + 1] += ny;
        normals[at + 2] += nz;
      }
    }
    for (let i = 0; i < normals.length; i += 3) {
      const length = Math.hypot(normals[i], normals[i + 1], normals[i + 2]) || 1;
      normals[i] /= length;
      normals[i + 1] /= length;
      normals[i + 2] /= length;
    }
    const reach = new Float32Array(cavity.length);
    for (let f = 0; f < faces.length; f += 3) {
      const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
      const x = (p[a] + p[b] + p[c]) / 3, y = (p[a + 1] + p[b + 1] + p[c + 1]) / 3;
      const z = (p[a + 2] + p[b + 2] + p[c + 2]) / 3;
      for (const at of [a, b, c]) {
        const dx = x - p[at], dy = y - p[at + 1], dz = z - p[at + 2];
        cavity[at / 3] += dx * normals[at] + dy * normals[at + 1] + dz * normals[at + 2];
        reach[at / 3] += Math.sqrt(dx * dx + dy * dy + dz * dz);
      }
    }
    for (let v = 0; v < cavity.length; v++) cavity[v] /= reach[v] || 1;
  }

  // Lowest and highest corner, metres.
  bounds() {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (let i = 0; i < this.positions.length; i++) {
      const value = this.positions[i], axis = i % 3;
      if (value < low[axis]) low[axis] = value;
      if (value > high[axis]) high[axis] = value;
    }
    return { low, high };
  }

  // The root joint; of a mesh without joints the middle of its box.
  root() {
    if (this.joints) return [this.joints[0], this.joints[1], this.joints[2]];
    const { low, high } = this.bounds();
    return low.map((value, k) => (value + high[k]) / 2);
  }
}
