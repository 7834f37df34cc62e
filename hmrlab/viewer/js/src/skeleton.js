// Joints as balls, bones between them, drawn over the skin.

import {
  ConeGeometry, Group, InstancedMesh, Matrix4, Mesh, Quaternion, SphereGeometry, Vector3,
} from "three";
import { lineMaterial } from "./materials.js";

const UP = new Vector3(0, 1, 0);
const ON_TOP = { depthTest: false, depthWrite: false };

export class Skeleton {
  constructor(parents) {
    this.parents = parents;
    this.group = new Group();
    this.ball = new SphereGeometry(0.013, 12, 8);
    this.bone = new ConeGeometry(0.011, 1, 6, 1).translate(0, 0.5, 0); // from 0 to (0, 1, 0)
    this.materials = {
      bones: lineMaterial("#3c4a63", 0.85, ON_TOP),
      balls: lineMaterial("#f0a53a", 1, ON_TOP),
      chosen: lineMaterial("#e0318c", 1, ON_TOP),
    };
    this.bones = new InstancedMesh(this.bone, this.materials.bones, parents.length - 1);
    this.balls = new InstancedMesh(this.ball, this.materials.balls, parents.length);
    this.chosen = new Mesh(this.ball, this.materials.chosen);
    this.chosen.scale.setScalar(1.5);
    [this.bones, this.balls, this.chosen].forEach((mesh, k) => {
      mesh.renderOrder = 10 + k;
      mesh.frustumCulled = false;
      this.group.add(mesh);
    });
  }

  // joints: 3 J metres; selected: a joint to mark, or -1; whole: all of it, or only the mark.
  update(joints, selected, whole) {
    const at = (j) => new Vector3(joints[3 * j], joints[3 * j + 1], joints[3 * j + 2]);
    const matrix = new Matrix4(), turn = new Quaternion();
    this.bones.visible = this.balls.visible = whole;
    this.chosen.visible = selected >= 0;
    if (selected >= 0) this.chosen.position.copy(at(selected));
    if (!whole) return;
    for (let j = 0; j < this.parents.length; j++) {
      const place = at(j);
      this.balls.setMatrixAt(j, matrix.makeTranslation(place));
      if (j === 0) continue;
      const from = at(this.parents[j]), along = place.clone().sub(from), length = along.length();
      turn.setFromUnitVectors(UP, along.divideScalar(length || 1));
      this.bones.setMatrixAt(j - 1, matrix.compose(from, turn, new Vector3(1, length, 1)));
    }
    this.bones.instanceMatrix.needsUpdate = this.balls.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    this.bones.dispose();
    this.balls.dispose();
    this.ball.dispose();
    this.bone.dispose();
    Object.values(this.materials).forEach((material) => material.dispose());
  }
}
