// Sign and verify with Node's crypto as each help desk documents it. Bodies are encoded in base64.
const { createHmac, timingSafeEqual } = require("node:crypto");

const schemes = {
  intercom: (secret, body) => ({ "x-hub-signature": "sha1=" + createHmac("sha1", secret).update(body).digest("hex") }),
  helpscout: (secret, body) => ({ "x-helpscout-signature": createHmac("sha1", secret).update(body).digest("base64") }),
  zendesk: (secret, body, stamp) => ({
    "x-zendesk-webhook-signature": createHmac("sha256", secret).update(stamp).update(body).digest("base64"),
    "x-zendesk-webhook-signature-timestamp": stamp,
  }),
  front: (secret, body, stamp) => ({
    "x-front-signature": createHmac("sha256", secret).update(stamp + ":").update(body).digest("base64"),
    "x-front-request-timestamp": stamp,
  }),
  "front-rule": (secret, body) => ({ "x-front-signature": createHmac("sha1", secret).update(body).digest("base64") }),
  crisp: (secret, body, stamp) => ({
    "x-crisp-signature": createHmac("sha256", secret).update(`[${stamp};`).update(body).update("]").digest("hex"),
    "x-crisp-request-timestamp": stamp,
  }),
};

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  const answers = JSON.parse(input).cases.map(({ scheme, secret, body, stamp, headers }) => {
    const made = schemes[scheme](secret, Buffer.from(body, "base64"), stamp);
    if (!headers) return made;
    return Object.entries(made).every(([name, value]) => {
      const given = Buffer.from(headers[name] || "");
      const wanted = Buffer.from(value);
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
  });
  process.stdout.write(JSON.stringify(answers));
});
