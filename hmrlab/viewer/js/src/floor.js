// The ground below a body: a grid, and the soft shadow where the body is near it.

import { DataTexture, LinearFilter, Mesh, PlaneGeometry, RedFormat, UnsignedByteType } from "three";
import { floorMaterial } from "./materials.js";

const CELLS = 64, SIDE = 2.6; // of the shadow: cells, metres
const NEAR = 0.16; // metres above the ground at which the shadow is a third as dark

export class Floor {
  constructor() {
    this.cells = new Float32Array(CELLS * CELLS);
    this.other = new Float32Array(CELLS * CELLS);
    this.texture = new DataTexture(
      new Uint8Array(CELLS * CELLS), CELLS, CELLS, RedFormat, UnsignedByteType,
    );
    this.texture.magFilter = this.texture.minFilter = LinearFilter;
    this.geometry = new PlaneGeometry(4, 4).rotateX(-Math.PI / 2);
    this.mesh = new Mesh(this.geometry, floorMaterial(this.texture, SIDE));
    this.mesh.renderOrder = -1;
  }

  // places: vertices (3 V) in the floor's own frame, y up; the ground lies below the lowest.
  update(places) {
    let ground = Infinity;
    for (let i = 1; i < places.length; i += 3) if (places[i] < ground) ground = places[i];
    this.mesh.position.y = ground;
    this.cells.fill(0);
    for (let i = 0; i < places.length; i += 3) {
      const column = Math.floor((places[i] / SIDE + 0.5) * CELLS);
      const row = Math.floor((places[i + 2] / SIDE + 0.5) * CELLS);
      if (column < 0 || row < 0 || column >= CELLS || row >= CELLS) continue;
      const dark = Math.exp((ground - places[i + 1]) / NEAR);
      const cell = row * CELLS + column;
      if (dark > this.cells[cell]) this.cells[cell] = dark;
    }
    for (let turn = 0; turn < 3; turn++) {
      blur(this.cells, this.other, 1, CELLS);
      blur(this.other, this.cells, CELLS, 1);
    }
    const bytes = this.texture.image.data;
    for (let k = 0; k < bytes.length; k++) bytes[k] = 255 * Math.min(1, 1.6 * this.cells[k]);
    this.texture.needsUpdate = true;
  }

  dispose() {
    this.texture.dispose();
    this.geometry.dispose();
    this.mesh.material.dispose();
  }
}

// The mean of five neighbours along one direction.
function blur(from, to, along, across) {
  for (let line = 0; line < CELLS; line++) {
    for (let k = 0; k < CELLS; k++) {
      let sum = 0;
      for (let d = -2; d <= 2; d++) {
        const place = k + d;
        if (place >= 0 && place < CELLS) sum += from[line * across + place * along];
      }
      to[line * across + k * along] = sum / 5;
    }
  }
}
