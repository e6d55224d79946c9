// Judges signed checkpoints with Node's crypto, and proofs with @sigstore/verify. Own code, so
// that nothing of the product reads the notes. Standard input: {"Notes": [base64], "Keys":
// [vkey], "Proofs": [{"Note", "Index", "Path", "Leaf"}]}; one line of output for each of them.
"use strict";

const crypto = require("node:crypto");
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint.js");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle.js");

const ED25519 = Buffer.from("302a300506032b6570032100", "hex");
const base64 = (text) => {
  const data = Buffer.from(text, "base64");
  if (data.toString("base64") !== text) throw new Error("not base64");
  return data;
};
const sha256 = (...parts) => crypto.createHash("sha256").update(Buffer.concat(parts)).digest();

function readKey(vkey) {
  const [, name, id, rest] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey);
  const data = base64(rest);
  const type = data[0];
  const spki = type === 2 ? data.subarray(1) : Buffer.concat([ED25519, data.subarray(1)]);
  const named = type === 2 ? sha256(spki) : sha256(Buffer.from(name + "\n"), data);
  if (named.subarray(0, 4).toString("hex") !== id) throw new Error("id of another key");
  const key = crypto.createPublicKey({ key: spki, format: "der", type: "spki" });
  return { name, id, type, key };
}

function signedBy(key, text, data) {
  if (key.type === 2) return crypto.verify("sha256", text, key.key, data);
  if (key.type === 1) return crypto.verify(null, text, key.key, data);
  if (data.length !== 72) return false;
  const head = `cosignature/v1\ntime ${data.readBigUInt64BE()}\n`;
  return crypto.verify(null, Buffer.concat([Buffer.from(head), text]), key.key, data.subarray(8));
}

function openNote(data, keys) {
  const note = new TextDecoder("utf-8", { fatal: true }).decode(data);
  const cut = note.lastIndexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) throw new Error("not a note");
  const text = Buffer.from(note.slice(0, cut + 1));
  const lines = note.slice(cut + 2, -1).split("\n").map((line) => {
    const [, name, rest] = /^\u2014 (\S+) (\S+)$/.exec(line);
    return { name, id: base64(rest).subarray(0, 4).toString("hex"), data: base64(rest).subarray(4) };
  });
  for (const key of keys) {
    const own = lines.filter((line) => line.name === key.name && line.id === key.id);
    if (!own.length || !own.every((line) => signedBy(key, text, line.data)))
      throw new Error(`not signed by ${key.name} ${key.type}`);
  }
  const [origin, size, root, end, ...more] = text.toString().split("\n");
  if (origin !== keys[0].name || String(BigInt(size)) !== size || end !== "" || more.length)
    throw new Error("not a checkpoint");
  if (base64(root).length !== 32) throw new Error("not a root");
}

// What @sigstore/verify makes of it: each key of the log alone, then the way to the root.
function byOthers(proof, keys) {
  const entry = {
    canonicalizedBody: base64(proof.Leaf),
    inclusionProof: {
      logIndex: String(proof.Index), hashes: proof.Path.map(base64),
      checkpoint: { envelope: base64(proof.Note).toString() },
    },
  };
  for (const key of keys.filter((one) => one.type !== 4)) {
    const logID = Buffer.from(key.id, "hex");
    const logs = [{ logID, publicKey: key.key, baseURL: `https://${key.name}` }];
    verifyMerkleInclusion(entry, verifyCheckpoint(entry, logs));
  }
}

function judged(check) {
  try {
    check();
    return "accepted";
  } catch (error) {
    return `refused: ${error.code ?? ""} ${error.message}`.replaceAll("\n", " ");
  }
}

const question = JSON.parse(require("node:fs").readFileSync(0));
const keys = question.Keys.map(readKey);
for (const note of question.Notes ?? []) console.log(judged(() => openNote(base64(note), keys)));
for (const proof of question.Proofs ?? []) console.log(judged(() => byOthers(proof, keys)));
