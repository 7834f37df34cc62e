// MoveNet MultiPose as TensorFlow.js runs it, for `movenet_golden.py` to hold ours against.
//
//     node run_movenet.cjs NODE_MODULES GRAPH.json PICTURES.json > ANSWERS.json
//
// NODE_MODULES holds @tensorflow/tfjs; PICTURES.json is a list of {height, width, rgb}, rgb base64
// of uint8. For each an answer {people: (6 x 56), maps: {name: {shape, values}}}, numbers as base64 of
// float32: what the graph gives, and what its six heads gave on the way.
const fs = require("fs");
const path = require("path");

const [modules, graph, pictures] = process.argv.slice(2);
const tf = require(path.join(modules, "@tensorflow/tfjs"));
const HEADS = {
  center: "center_0/conv2d_4",
  box_size: "box_scale_0/conv2d_5",
  box_offset: "box_offset_0/conv2d_6",
  heatmap: "kpt_heatmap_0/conv2d_7",
  regression: "kpt_regress_0/conv2d_8",
  keypoint_offset: "kpt_offset_0/conv2d_9",
};

async function main() {
  await tf.setBackend("cpu");
  const handler = tf.io.fromMemory(artifacts());
  const network = await tf.loadGraphModel(handler);
  const answers = [];
  for (const { height, width, rgb } of JSON.parse(fs.readFileSync(pictures))) {
    const bytes = Uint8Array.from(Buffer.from(rgb, "base64"));
    const input = tf.tensor4d(Int32Array.from(bytes), [1, height, width, 3], "int32");
    const nodes = Object.values(HEADS).map((head) => `StatefulPartitionedCall/${head}/BiasAdd`);
    const [people, ...maps] = await network.executeAsync({ input }, ["Identity:0", ...nodes]);
    const named = Object.keys(HEADS).map((name, k) => [name, plain(maps[k])]);
    answers.push({ people: plain(people), maps: Object.fromEntries(named) });
  }
  process.stdout.write(JSON.stringify(answers));
}

// What loadGraphModel wants in memory: the graph, and its numbers in one piece.
function artifacts() {
  const { modelTopology, signature, weightsManifest } = JSON.parse(fs.readFileSync(graph));
  const files = weightsManifest.flatMap(({ paths }) => paths);
  const parts = files.map((name) => fs.readFileSync(path.join(path.dirname(graph), name)));
  const weightData = Uint8Array.from(Buffer.concat(parts)).buffer;
  return { modelTopology, signature, weightSpecs: weightsManifest.flatMap((g) => g.weights), weightData };
}

function plain(tensor) {
  const values = Buffer.from(Float32Array.from(tensor.dataSync()).buffer).toString("base64");
  return { shape: tensor.shape, values };
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
