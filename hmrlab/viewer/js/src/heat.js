// Numbers of a body as colours: twist and rotation error of each joint, distance of each vertex.

import { angleBetween, axisAngleToQuaternion, degrees, swingTwist } from "./maths.js";

export const KINDS = {
  none: { title: "no heat" },
  twist: { title: "twist", legend: "twist about the bone", unit: "°", perJoint: true },
  rotation: { title: "rotation error", legend: "rotation error", unit: "°", perJoint: true },
  distance: { title: "distance", legend: "distance of the skin, roots aligned", unit: "mm" },
};

// Swing and twist of each joint, degrees; pose: 3 J axis-angles.
export function swingsAndTwists(pose, axes) {
  return axes.map((axis, j) => {
    const { swing, twist } = swingTwist(quaternionOf(pose, j), axis);
    return { swing: degrees(Math.hypot(...swing)), twist: degrees(twist) };
  });
}

// The joints that are turned further than a person can, each with its numbers and its limits.
export function beyondLimits(pose, axes, limits) {
  return swingsAndTwists(pose, axes)
    .map(({ swing, twist }, joint) => ({ joint, swing, twist, ...limits[joint] }))
    .filter((one) => one.joint > 0) // the root may face any way
    .filter((one) => Math.abs(one.twist) > one.mostTwist || one.swing > one.mostSwing);
}

export function jointHeat(kind, pose, truth, axes) {
  if (kind === "twist") {
    return swingsAndTwists(pose, axes).map(({ twist }, j) => (j === 0 ? 0 : Math.abs(twist)));
  }
  return axes.map((_, j) => degrees(angleBetween(quaternionOf(pose, j), quaternionOf(truth, j))));
}

// Millimetres between two bodies' vertices, their roots laid on one another.
export function vertexDistance(body, truth, out) {
  const from = body.root(), to = truth.root();
  for (let v = 0; v < out.length; v++) {
    let sum = 0;
    for (let k = 0; k < 3; k++) {
      const d = body.positions[3 * v + k] - from[k] - truth.positions[3 * v + k] + to[k];
      sum += d * d;
    }
    out[v] = 1000 * Math.sqrt(sum);
  }
  return out;
}

// The colour of a share of the scale, from the table of `ramp` colours [0, 1].
export function colourAt(ramp, share, out) {
  const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const below = Math.min(Math.floor(place), ramp.length - 2), part = place - below;
  for (let k = 0; k < 3; k++) {
    out[k] = ramp[below][k] * (1 - part) + ramp[below + 1][k] * part;
  }
  return out;
}

function quaternionOf(pose, joint) {
  return axisAngleToQuaternion([pose[3 * joint], pose[3 * joint + 1], pose[3 * joint + 2]]);
}
