// A part of the stage with a camera of its own: one body, or several laid over one another.

import {
  DoubleSide, Group, Mesh, MeshBasicMaterial, PerspectiveCamera, PlaneGeometry, Raycaster, Scene,
  SRGBColorSpace, Texture, Vector2, Vector3,
} from "three";
import { Floor } from "./floor.js";

const BEHIND = 0.9; // metres from a body's root to the picture behind it
const ROOM = 1.06; // around a body

export class Panel {
  // figures: those that are laid over one another here; the first leads
  constructor(figures) {
    this.figures = figures;
    this.scene = new Scene();
    this.frame = new Group();
    this.scene.add(this.frame);
    this.camera = new PerspectiveCamera();
    this.floor = new Floor();
    this.scene.add(this.floor.mesh);
    for (const figure of figures) this.frame.add(figure.group);
    this.radius = 1;
    this.picture = null;
  }

  setPicture(image) {
    this.dropPicture();
    if (!image) return;
    const texture = new Texture(image);
    texture.colorSpace = SRGBColorSpace;
    texture.needsUpdate = true;
    const material = new MeshBasicMaterial({ map: texture, side: DoubleSide, toneMapped: false });
    this.picture = new Mesh(new PlaneGeometry(1, 1), material);
    this.frame.add(this.picture);
  }

  // Puts bodies, floor and picture into place.
  // settings: upsideDown, floor, half (half a picture's side over the focal length, or 0 for no
  // picture), places (translation of each figure, metres, camera frame)
  arrange({ upsideDown, floor, half, places }) {
    this.frame.rotation.x = upsideDown ? Math.PI : 0;
    const [x, y, z] = this.figures[0].body.root();
    // The leading root is the middle, or stands where the camera sees it; other roots lie on it.
    const meet = half ? [places[0][0] + x, places[0][1] + y, z] : [0, 0, 0];
    for (const figure of this.figures) {
      const root = figure.body.root();
      figure.group.position.set(meet[0] - root[0], meet[1] - root[1], meet[2] - root[2]);
    }
    this.half = half;
    this.floor.mesh.visible = floor && !half;
    if (this.floor.mesh.visible) this.floor.update(this.groundPlan(upsideDown));
    if (!this.picture) return;
    this.picture.visible = Boolean(half);
    const distance = places[0][2] + BEHIND;
    this.picture.position.set(0, 0, BEHIND);
    this.picture.rotation.x = Math.PI; // upright in a frame whose y points down
    this.picture.scale.setScalar(2 * half * distance || 1);
    this.radius = half ? places[0][2] : this.radius;
  }

  // The leading body's vertices, y up, its root where the floor's middle is.
  groundPlan(upsideDown) {
    const { positions } = this.figures[0].body;
    const at = this.figures[0].group.position, sign = upsideDown ? -1 : 1;
    const plan = new Float32Array(positions.length);
    for (let i = 0; i < plan.length; i += 3) {
      plan[i] = positions[i] + at.x;
      plan[i + 1] = sign * (positions[i + 1] + at.y);
      plan[i + 2] = sign * (positions[i + 2] + at.z);
    }
    return plan;
  }

  // The panel's share of one orbit for all, whose camera is about 1 away from the origin.
  // box: the middle of all bodies about their roots, and its half sizes; lens: degrees
  aim(orbit, box, lens) {
    const aspect = this.width / this.height;
    const base = new Vector3(...(this.half ? [0, 0, 0] : box.middle));
    if (this.half) {
      this.camera.fov = degrees(2 * Math.atan(this.half / Math.min(1, aspect)));
    } else {
      this.camera.fov = lens;
      const open = Math.tan((lens * Math.PI) / 360);
      this.radius = ROOM * Math.max(box.tall / open, box.wide / (open * aspect)) + box.deep;
    }
    this.camera.aspect = aspect;
    this.camera.position.copy(orbit.object.position).multiplyScalar(this.radius).add(base);
    this.camera.quaternion.copy(orbit.object.quaternion);
    const distance = orbit.object.position.distanceTo(orbit.target) * this.radius;
    this.camera.near = Math.max(0.02, distance - 6);
    this.camera.far = distance + 8;
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }

  // The joint under a pointer (CSS pixels of the stage): {figure, joint}, or null.
  pick(x, y) {
    const place = new Vector2(
      (2 * (x - this.x)) / this.width - 1, 1 - (2 * (y - this.y)) / this.height,
    );
    const ray = new Raycaster();
    ray.setFromCamera(place, this.camera);
    let best = null;
    for (const figure of this.figures) {
      if (!figure.model.posable) continue;
      figure.group.updateWorldMatrix(true, true);
      figure.geometry.computeBoundingSphere();
      const [hit] = ray.intersectObject(figure.skin, false);
      if (hit && (!best || hit.distance < best.distance)) {
        const joint = figure.model.mainJoint[hit.face.a];
        best = { figure, joint, distance: hit.distance };
      }
    }
    return best;
  }

  // Where a joint of a figure is seen, CSS pixels of the stage.
  seen(figure, joint) {
    const j = figure.body.joints;
    figure.group.updateWorldMatrix(true, false);
    const place = new Vector3(j[3 * joint], j[3 * joint + 1], j[3 * joint + 2]);
    place.applyMatrix4(figure.group.matrixWorld).project(this.camera);
    return [
      this.x + ((place.x + 1) / 2) * this.width, this.y + ((1 - place.y) / 2) * this.height,
    ];
  }

  // The joint whose ball is nearest to a pointer, within `reach` pixels.
  nearest(x, y, reach) {
    let best = null;
    for (const figure of this.figures) {
      for (let joint = 0; joint < (figure.model.parents?.length ?? 0); joint++) {
        const [u, v] = this.seen(figure, joint);
        const distance = Math.hypot(u - x, v - y);
        if (distance < (best?.distance ?? reach)) best = { figure, joint, distance };
      }
    }
    return best;
  }

  dropPicture() {
    if (!this.picture) return;
    this.picture.removeFromParent();
    this.picture.geometry.dispose();
    this.picture.material.map.dispose();
    this.picture.material.dispose();
    this.picture = null;
  }

  dispose() {
    this.dropPicture();
    this.floor.dispose();
    for (const figure of this.figures) figure.group.removeFromParent();
  }
}

const degrees = (radians) => (radians * 180) / Math.PI;
