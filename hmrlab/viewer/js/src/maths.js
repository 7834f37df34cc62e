// Rotations on plain arrays: matrices are 9 numbers by rows, vectors 3, angles in radians.

export function axisAngleToMatrix(v, out, at = 0, from = 0) {
  const x = v[from], y = v[from + 1], z = v[from + 2];
  const angle2 = x * x + y * y + z * z;
  const angle = Math.sqrt(angle2);
  // sin(a)/a and (1 - cos(a))/a^2, by their series where a division would lose digits
  const a = angle < 1e-4 ? 1 - angle2 / 6 : Math.sin(angle) / angle;
  const b = angle < 1e-4 ? 0.5 - angle2 / 24 : (1 - Math.cos(angle)) / angle2;
  out[at] = 1 - b * (y * y + z * z);
  out[at + 1] = b * x * y - a * z;
  out[at + 2] = b * x * z + a * y;
  out[at + 3] = b * x * y + a * z;
  out[at + 4] = 1 - b * (x * x + z * z);
  out[at + 5] = b * y * z - a * x;
  out[at + 6] = b * x * z - a * y;
  out[at + 7] = b * y * z + a * x;
  out[at + 8] = 1 - b * (x * x + y * y);
  return out;
}

// (w, x, y, z) with w >= 0; Shepperd's method: divide by the largest of the four.
export function matrixToQuaternion(m, at = 0) {
  const xx = m[at], yy = m[at + 4], zz = m[at + 8];
  const trace = xx + yy + zz;
  let q;
  if (trace > Math.max(xx, yy, zz)) {
    q = [1 + trace, m[at + 7] - m[at + 5], m[at + 2] - m[at + 6], m[at + 3] - m[at + 1]];
  } else if (xx >= yy && xx >= zz) {
    q = [m[at + 7] - m[at + 5], 1 + xx - yy - zz, m[at + 1] + m[at + 3], m[at + 2] + m[at + 6]];
  } else if (yy >= zz) {
    q = [m[at + 2] - m[at + 6], m[at + 1] + m[at + 3], 1 - xx + yy - zz, m[at + 5] + m[at + 7]];
  } else {
    q = [m[at + 3] - m[at + 1], m[at + 2] + m[at + 6], m[at + 5] + m[at + 7], 1 - xx - yy + zz];
  }
  const length = Math.hypot(...q) * (q[0] < 0 ? -1 : 1);
  return q.map((value) => value / length);
}

function quaternionToAxisAngle([w, x, y, z]) {
  const sine = Math.hypot(x, y, z);
  const factor = sine < 1e-9 ? 2 : (2 * Math.atan2(sine, w)) / sine;
  return [x * factor, y * factor, z * factor];
}

export function axisAngleToQuaternion(v) {
  const angle = Math.hypot(...v);
  const factor = angle < 1e-9 ? 0.5 : Math.sin(angle / 2) / angle;
  return [Math.cos(angle / 2), v[0] * factor, v[1] * factor, v[2] * factor];
}

function times(a, b) {
  return [
    a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
    a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
    a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
    a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
  ];
}

// Rotation = swing * twist about the unit `axis`; the swing comes back as an axis-angle, at right
// angles to the axis. As hmrlab.geometry.swing_twist; where a swing of 180 degrees leaves the twist
// open, it is 0.
export function swingTwist(q, axis) {
  const along = q[1] * axis[0] + q[2] * axis[1] + q[3] * axis[2];
  const length = Math.hypot(q[0], along);
  if (length < 1e-9) return { swing: quaternionToAxisAngle(q), twist: 0 };
  const sign = q[0] < 0 ? -1 : 1;
  const c = (sign * q[0]) / length, s = (sign * along) / length;
  const back = [c, -s * axis[0], -s * axis[1], -s * axis[2]];
  const swing = times(q, back);
  return {
    swing: quaternionToAxisAngle(swing[0] < 0 ? swing.map((value) => -value) : swing),
    twist: 2 * Math.atan2(s, c),
  };
}

export function fromSwingTwist(swing, twist, axis) {
  const c = Math.cos(twist / 2), s = Math.sin(twist / 2);
  const q = times(axisAngleToQuaternion(swing), [c, s * axis[0], s * axis[1], s * axis[2]]);
  return quaternionToAxisAngle(q[0] < 0 ? q.map((value) => -value) : q);
}

// The angle of the rotation between two, radians.
export function angleBetween(p, q) {
  const dot = Math.abs(p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3]);
  const [w, x, y, z] = times([p[0], -p[1], -p[2], -p[3]], q);
  return dot > 0.7 ? 2 * Math.atan2(Math.hypot(x, y, z), Math.abs(w)) : 2 * Math.acos(dot);
}

export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const degrees = (radians) => (radians * 180) / Math.PI;
export const radians = (angle) => (angle * Math.PI) / 180;

// The two directions that a bone swings to, as a person would name them: of left, up and front
// those that are nearest to right angles with the bone. Each with the axis that turns towards it.
export function swingDirections(axis) {
  const named = [
    { name: "left", of: [1, 0, 0] }, { name: "up", of: [0, 1, 0] }, { name: "front", of: [0, 0, 1] },
  ].sort((a, b) => Math.abs(dot(a.of, axis)) - Math.abs(dot(b.of, axis)));
  const unit = (v) => v.map((value) => value / Math.hypot(...v));
  const first = unit(named[0].of.map((v, k) => v - dot(named[0].of, axis) * axis[k]));
  let second = cross(axis, first);
  if (dot(second, named[1].of) < 0) second = second.map((v) => -v);
  return [
    { name: named[0].name, about: cross(axis, first) },
    { name: named[1].name, about: cross(axis, second) },
  ];
}
