// How bodies, floors and pictures take the light.

import { Color, DoubleSide, ShaderMaterial } from "three";

// Skin lies a little deeper than the lines on it. Only where there are any: deeper by its slope, an
// outline's front would let the unlit side of what curves away behind it through.
export const BEHIND_LINES = { polygonOffsetFactor: 1, polygonOffsetUnits: 1 };

const BODY_VERTEX = `
attribute float cavity;
attribute vec3 tint;
attribute float alarm;
varying vec3 vNormal;
varying vec3 vTint;
varying float vHeight;
varying float vCavity;
varying float vAlarm;
void main() {
  vNormal = normalMatrix * normal;
  vHeight = normalize(mat3(modelMatrix) * normal).y;
  vTint = tint;
  vCavity = cavity;
  vAlarm = alarm;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

// A sculptor's lamps, fixed to the camera: a warm key from the upper left, a cool raking light from
// the right that shows folds, a weak fill from the eye, a rim; hollows darkened.
const BODY_FRAGMENT = `
uniform float opacity;
uniform float pulse;
uniform vec3 alarmColour;
varying vec3 vNormal;
varying vec3 vTint;
varying float vHeight;
varying float vCavity;
varying float vAlarm;
void main() {
  vec3 n = normalize(vNormal);
  if (!gl_FrontFacing && n.z < -0.25) n = -n;  // inside out; at an outline it is only the edge
  vec3 key = normalize(vec3(-0.55, 0.72, 0.62));
  vec3 rake = normalize(vec3(0.93, 0.22, 0.18));
  vec3 light = mix(vec3(0.115, 0.105, 0.11), vec3(0.27, 0.29, 0.33), 0.5 + 0.5 * vHeight);
  light += vec3(1.0, 0.955, 0.89) * 0.78 * max(0.0, (dot(n, key) + 0.12) / 1.12);
  light += vec3(0.62, 0.74, 1.0) * 0.26 * max(0.0, dot(n, rake));
  light += vec3(0.10) * max(0.0, n.z);
  float hollow = 1.0 - clamp(vCavity * 1.6, -0.10, 0.42);
  vec3 colour = vTint * light * hollow;
  vec3 half_way = normalize(key + vec3(0.0, 0.0, 1.0));
  colour += vec3(1.0, 0.97, 0.93) * 0.055 * pow(max(dot(n, half_way), 0.0), 26.0) * hollow;
  colour += vec3(0.75, 0.83, 1.0) * 0.10 * pow(1.0 - clamp(n.z, 0.0, 1.0), 3.5);
  colour = mix(colour, alarmColour * (0.35 + 0.65 * light), clamp(vAlarm, 0.0, 1.0) * pulse);
  gl_FragColor = vec4(colour, opacity);
  #include <colorspace_fragment>
}`;

export function bodyMaterial() {
  return new ShaderMaterial({
    vertexShader: BODY_VERTEX,
    fragmentShader: BODY_FRAGMENT,
    uniforms: {
      opacity: { value: 1 },
      pulse: { value: 0 },
      alarmColour: { value: new Color("#ff2fb3") },
    },
    side: DoubleSide,
    ...BEHIND_LINES,
  });
}

const PLAIN_VERTEX = `
void main() {
  vec4 place = vec4(position, 1.0);
  #ifdef USE_INSTANCING
  place = instanceMatrix * place;
  #endif
  gl_Position = projectionMatrix * modelViewMatrix * place;
}`;
const PLAIN_FRAGMENT = `
uniform vec3 colour;
uniform float opacity;
void main() { gl_FragColor = vec4(colour, opacity); \n#include <colorspace_fragment>\n }`;

export function lineMaterial(colour, opacity, options = {}) {
  return new ShaderMaterial({
    vertexShader: PLAIN_VERTEX,
    fragmentShader: PLAIN_FRAGMENT,
    uniforms: { colour: { value: new Color(colour) }, opacity: { value: opacity } },
    transparent: true,
    ...options,
  });
}

const FLOOR_VERTEX = `
varying vec2 vPlace;
void main() {
  vPlace = position.xz;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`;

// Lines every 25 cm, stronger at each metre, fading outwards; and the body's soft shadow.
const FLOOR_FRAGMENT = `
uniform vec3 ink;
uniform sampler2D shadow;
uniform float shadowSide;
uniform float lines;
varying vec2 vPlace;
float ruled(float step) {
  vec2 place = vPlace / step;
  vec2 near = abs(fract(place - 0.5) - 0.5) / fwidth(place);
  return 1.0 - min(min(near.x, near.y), 1.0);
}
void main() {
  float fade = 1.0 - smoothstep(0.5, 1.9, length(vPlace));
  float line = lines * fade * max(0.16 * ruled(0.25), 0.34 * ruled(1.0));
  float dark = 0.42 * texture2D(shadow, vPlace / shadowSide + 0.5).r;
  float whole = max(line, 0.0) + dark * (1.0 - line);
  gl_FragColor = vec4(mix(ink, vec3(0.0), dark / max(whole, 1e-4)), whole);
  #include <colorspace_fragment>
}`;

export function floorMaterial(shadow, shadowSide) {
  return new ShaderMaterial({
    vertexShader: FLOOR_VERTEX,
    fragmentShader: FLOOR_FRAGMENT,
    uniforms: {
      ink: { value: new Color("#8a94a6") },
      shadow: { value: shadow },
      shadowSide: { value: shadowSide },
      lines: { value: 1 },
    },
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
  });
}
